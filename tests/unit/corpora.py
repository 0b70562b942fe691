"""Reads the corpora under tests/corpus: cases as they stand there, one pytest parameter each."""

import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from tests.unit.http.corpus import raw

CORPORA: Final = Path(__file__).parents[1] / "corpus"

Case = dict[str, Any]


def cases(corpus: str) -> list[Any]:
    """All cases of one corpus, by the names of their files."""
    return [
        pytest.param(case, id=f"{path.stem}: {case['name']}")
        for path in sorted((CORPORA / corpus).glob("*.toml"))
        for case in tomllib.loads(path.read_text("utf-8"))["case"]
    ]


def data_of(case: Case) -> bytes:
    """The bytes of a case: `data`, or `hex`."""
    return bytes.fromhex(case["hex"]) if "hex" in case else raw(case["data"])
