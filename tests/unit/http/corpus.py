"""Reads tests/corpus/http1: cases as they stand there, and their bytes. No code of ours is called here."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

CORPUS: Final = Path(__file__).parents[2] / "corpus" / "http1"
RESPONSES: Final = "responses"
"""The file whose cases are an application's; those of all others are a client's."""

SECTION: Final = re.compile(r"RFC [0-9]{4} section [0-9]+(\.[0-9]+)*")
"""One of the sections that a case's `rfc` names, with ", " between them."""

Case = dict[str, Any]
"""One `[[case]]`, with `id` (file and name) besides."""


def load(name: str) -> list[Case]:
    """The cases of one file, by its name without suffix."""
    cases = tomllib.loads((CORPUS / f"{name}.toml").read_text("utf-8"))["case"]
    return [case | {"id": f"{name}: {case['name']}"} for case in cases]


REQUESTS: Final = [case for path in sorted(CORPUS.glob("*.toml")) if path.stem != RESPONSES for case in load(path.stem)]


def raw(text: str | list[Any]) -> bytes:
    """The bytes of a text, or of a list of texts and [text, count] repetitions."""
    parts = [text] if isinstance(text, str) else text
    return "".join(part if isinstance(part, str) else part[0] * part[1] for part in parts).encode("latin-1")


def bytewise(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]
