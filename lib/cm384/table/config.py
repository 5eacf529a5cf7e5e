"""A Hugging Face `config.json`, its fields checked as they are read."""

from __future__ import annotations

import json
from pathlib import Path

from cm384.table.errors import InputError


class ConfigFile:
    """The fields of the JSON object in `path`; as in Transformers, null counts as absent.

    InputError for a file that cannot be read, and for a field that is missing or not as expected,
    in one line that names file and field.
    """

    def __init__(self, path: Path, name: str = "") -> None:
        self.path, self.name = path, name or path.stem
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{path}: expected JSON ({error})") from None
        if not isinstance(fields, dict):
            raise InputError(f"{path}: expected a JSON object with the field 'model_type'")
        self.fields = {field: value for field, value in fields.items() if value is not None}

    def error(self, field: str, expected: str) -> InputError:
        """The error for a field that is not as expected."""
        value = self.fields.get(field)
        given = "but it is missing" if value is None else f"not {json.dumps(value)[:60]}"
        return InputError(f"{self.path}: field {field!r}: expected {expected}, {given}")

    # No published size comes near the upper bound; it keeps a slip from passing as a model.
    def count(self, field: str, default: int | None = None, least: int = 1, most: int = 10**6) -> int:
        """A whole number in `least` to `most`; required if there is no default."""
        value = self.fields.get(field, default)
        # A type test, since isinstance takes true for the number 1.
        if type(value) is not int or not least <= value <= most:
            raise self.error(field, f"a whole number from {least} to {most}")
        return value

    def flag(self, field: str) -> bool:
        """True or false; false if absent."""
        value = self.fields.get(field, False)
        if not isinstance(value, bool):
            raise self.error(field, "true or false")
        return value

    def layers(self, field: str) -> list[int]:
        """A list of layer numbers; empty if absent."""
        value = self.fields.get(field, [])
        if not isinstance(value, list) or any(type(layer) is not int for layer in value):
            raise self.error(field, "a list of layer numbers")
        return value
