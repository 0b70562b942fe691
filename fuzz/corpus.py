"""The seeds: tests/corpus, whose formats are told in its READMEs."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
LONGEST: Final = 1000
"""Longer cases teach a fuzzer nothing that their short neighbours do not, and cost it time."""


def cases(corpus: str) -> Iterator[dict[str, Any]]:
    """All cases of one corpus, in a fixed order."""
    for path in sorted((ROOT / "tests" / "corpus" / corpus).glob("*.toml")):
        yield from tomllib.loads(path.read_text("utf-8"))["case"]


def raw(parts: str | list[Any]) -> bytes:
    """Bytes as the corpora write them: text in latin-1, or a list of texts and [text, count]."""
    pieces = [parts] if isinstance(parts, str) else parts
    return "".join(part if isinstance(part, str) else part[0] * part[1] for part in pieces).encode("latin-1")


def corpus_requests() -> Iterator[tuple[bytes, bool, bool]]:
    """The bytes of each HTTP/1 request, whether it is a good one, and whether that needs settings of its own."""
    for case in cases("http1"):
        if "request" in case:  # the others are about responses
            request = raw(case["request"])
            if len(request) <= LONGEST:
                yield request, "accepted" in case, not {"limits", "leniency", "end"}.isdisjoint(case)
