"""The table -> docs/reference/ostler.schema.json, by which editors complete and check `ostler.toml`.

    python -m ostler.config.schema > docs/reference/ostler.schema.json

JSON Schema, draft 2020-12. It describes the settings as one object: the whole of `ostler.toml`, or `[tool.ostler]` of
`pyproject.toml`. It is stricter than the readers, which also take numbers as text and words in any case: what passes
here is accepted there (a test tries both). Settings whose only accepted value is "none" are left out, as TOML has none.
"""

import json
import sys
from typing import Any

from ostler.config.sections import ENTRIES
from ostler.config.setting import Section, Setting, Support, Takes

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def make_schema() -> dict[str, Any]:
    """The schema as plain dicts and lists."""
    return {
        "$schema": _DIALECT,
        "title": "Settings of Ostler",
        "description": "ostler.toml, or the table [tool.ostler] of pyproject.toml",
        "type": "object",
        "properties": {entry.name: _property(entry) for entry in ENTRIES if _is_in_toml(entry)},
        "additionalProperties": False,
    }


def render() -> str:
    """The file's text."""
    return json.dumps(make_schema(), indent=2, ensure_ascii=False) + "\n"


def _is_in_toml(entry: Setting) -> bool:
    return entry.in_files and (entry.support is not Support.REFUSED or entry.default is not None)


def _property(entry: Setting) -> dict[str, Any]:
    made: dict[str, Any] = {"description": entry.doc}
    if entry.support is Support.REFUSED:
        made["const"] = _jsonable(entry.default)
        return made
    if entry.section is Section.HOOKS:
        return made | {"type": "string", "pattern": r"^\s*[^\s.][^\s]*\.[^\s.]+\s*$"}
    types = entry.takes.value
    made["type"] = types[0] if len(types) == 1 else list(types)
    if entry.takes is Takes.TEXTS:
        made["items"] = {"type": "string"}
    if entry.choices:
        made["enum"] = list(entry.choices)
    if entry.least is not None:
        made["minimum"] = entry.least
    if entry.default is not None and not entry.default_text:
        made["default"] = _jsonable(entry.default)
    if entry.support is Support.UNUSED:
        made["deprecated"] = True
    return made


def _jsonable(raw: object) -> object:
    return list(raw) if isinstance(raw, tuple) else raw


if __name__ == "__main__":
    sys.stdout.write(render())
