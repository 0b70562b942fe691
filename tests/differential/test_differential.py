"""Ours against h11, llhttp and Gunicorn's parser, over the corpus and seeded mutants of it.

Every difference belongs to a class of differences.toml with the sentence of an RFC that settles it, and no class stands
there for a parser that does not need it.
"""

from collections import Counter
from typing import Any

import pytest

from tests.differential.comparing import CLASSES, LISTED, Difference, difference, inputs
from tests.differential.readers import READERS, Reading, ostler


@pytest.fixture(scope="module")
def ours() -> list[tuple[bytes, Reading]]:
    """Each input with what we make of it."""
    return [(data, ostler(data)) for data in inputs()]


@pytest.mark.parametrize("parser", READERS)
def test_every_difference_is_listed_and_every_listed_one_is_there(
    parser: str, ours: list[tuple[bytes, Reading]]
) -> None:
    needed: Counter[str] = Counter()
    unlisted: list[Difference] = []
    for data, reading in ours:
        found = difference(data, reading, READERS[parser](data))
        if found is None:
            continue
        rule = next((one.entry["rule"] for one in CLASSES if one.holds(parser, found)), None)
        if rule is None:
            unlisted.append(found)
        else:
            needed[rule] += 1
    print(f"{parser}: {len(ours)} inputs, {needed.total()} differences of {len(needed)} classes")
    assert unlisted == []
    assert {entry["rule"] for entry in LISTED if parser in entry["parsers"]} == needed.keys()


@pytest.mark.parametrize("entry", LISTED, ids=lambda entry: entry["rule"])
def test_a_class_says_which_sentence_settles_it(entry: dict[str, Any]) -> None:
    assert entry["rfc"].startswith("RFC ")
    assert entry["why"].endswith(".")
    assert entry["parsers"]
    assert entry["kinds"]
