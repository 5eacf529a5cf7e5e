"""What `environment.yml` asks for, as pip reads it: `python tests/ci_requirements.py > FILE`.

Runs before anything is installed, so it reads the lines of the file itself; a test compares the
result with what a YAML parser finds.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONDA_ONLY = {"python", "pip"}


def requirements(text: str) -> list[str]:
    """The entries of `dependencies`, those of its pip list included.

    >>> requirements("channels:\\n  - c\\ndependencies:\\n  - python>=3.11\\n  - a>=1\\n  - pip:\\n"
    ...              "      - b>=2  # no conda package\\n      - -e ./lib\\n")
    ['a>=1', 'b>=2', '-e ./lib']
    """
    _, _, listed = text.partition("\ndependencies:")
    entries = re.findall(r"^\s*- (.*?)\s*(?:#.*)?$", listed, flags=re.MULTILINE)
    return [
        entry
        for entry in entries
        if entry != "pip:" and re.split(r"[<>=!~ ]", entry, maxsplit=1)[0] not in CONDA_ONLY
    ]


if __name__ == "__main__":
    print("\n".join(requirements((ROOT / "environment.yml").read_text(encoding="utf-8"))))
