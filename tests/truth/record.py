"""Write down what the project says today: verdicts, errors, rows read, notebooks, calculator.

`python tests/truth/record.py FOLDER` with the code to be recorded on the path. Used while the
library is rebuilt, so that no figure moves unnoticed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat

import cm384

ROOT = Path(cm384.__file__).resolve().parents[2]


def texts(path: Path) -> list[str]:
    """The text of every output of a notebook, in order."""
    found = []
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {"text/plain": output.get("text", "")})
            found.append(data.get("text/markdown") or data.get("text/plain", ""))
    return found


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for command, file in (("check", "claims.csv"), ("validate", "measurements.csv")):
        done = subprocess.run(
            [sys.executable, "-m", "cm384", command, str(ROOT / "data" / file), "--format", "csv"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        (folder / f"{command}.csv").write_text(done.stdout, encoding="utf-8")
    (folder / "reads.json").write_text(json.dumps(reads(), indent=0, sort_keys=True) + "\n")
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        (folder / f"{path.stem}.json").write_text(
            json.dumps(texts(path), indent=0, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    (folder / "calculator.json").write_text(json.dumps(calculator(), indent=0) + "\n")


def reads() -> dict[str, list[str]]:
    """The rows that each claim reads."""
    try:
        from cm384.specs import key_name
        from cm384.verdicts import judge_all
    except ImportError:
        from cm384.ledger.verdicts import judge_all
        from cm384.table.records import key_name
    specs = cm384.load_specs()
    found = judge_all(cm384.load_claims(specs=specs), specs)
    return {v.claim.id: sorted(map(key_name, v.attempt.span.keys)) for v in found if v.attempt}


def calculator() -> object:
    """The data that the script of the calculator reads."""
    try:
        from cm384 import calculator
    except ImportError:
        sys.path.insert(0, str(ROOT / "notebooks" / "_ext"))
        import calculator
    return calculator.data(cm384.load_specs())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
