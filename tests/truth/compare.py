"""Hold what the project says now against what was recorded: `python tests/truth/compare.py [PART]`.

Cells are compared by the tables and numbers that they show, wherever they stand: a recorded table
or sentence must be there to the letter, and every line of numbers of a recorded picture.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import record

TRUTH = Path(__file__).parent


def is_picture(text: str) -> bool:
    first, *lines = text.strip().split("\n")
    return bool(lines) and first.endswith(".") and any("," in line for line in lines)


def numbers(text: str) -> Counter[tuple[str, ...]]:
    """The numbers of each line of a picture's data."""
    lines = text.strip().split("\n")[2:]
    return Counter(tuple(sorted(re.findall(r"-?\d[\d.]*", line))) for line in lines)


def notebook(name: str, now: list[str]) -> int:
    before = json.loads((TRUTH / f"{name}.json").read_text(encoding="utf-8"))
    pictures, rest = [t for t in now if is_picture(t)], Counter(now)
    missing = 0
    for text in before:
        if rest[text]:
            rest[text] -= 1
        elif is_picture(text):
            wanted = numbers(text)
            best = min((wanted - numbers(t) for t in pictures), key=lambda c: c.total(), default=wanted)
            if best.total():
                missing += 1
                print(f"{name}: picture lost {best.total()} of {wanted.total()} lines: {text[:100]!r}")
                print("    ", list(best)[:4])
        else:
            missing += 1
            print(f"{name}: gone: {text[:400]!r}")
    return missing


def main(part: str) -> None:
    bad = 0
    for path in sorted((record.ROOT / "notebooks").glob("[0-9]*.ipynb")):
        if path.stem.startswith(part) or part == "all":
            bad += notebook(path.stem, record.texts(path))
    if part in ("all", "data"):
        with tempfile.TemporaryDirectory() as folder:
            record.main(Path(folder))
            for file in ("check.csv", "validate.csv", "reads.json", "calculator.json"):
                old, new = ((Path(f) / file).read_text().splitlines() for f in (TRUTH, folder))
                for a, b in zip(old, new, strict=False):
                    if a != b:
                        bad += 1
                        if bad < 40:
                            print(f"{file}:\n  - {a[:300]}\n  + {b[:300]}")
                if len(old) != len(new):
                    bad += 1
                    print(f"{file}: {len(old)} lines, now {len(new)}")
    print("differences:", bad)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else "all")
