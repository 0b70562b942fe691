"""The page of guarantees names tests that exist, for every row of the catalogue that this version promises."""

import ast
import re
from functools import cache

import pytest

from docs.refresh import ROOT

PAGE = ROOT / "docs" / "explanation" / "guarantees.md"
# The rows of the catalogue.
RELOAD = [f"R{number}" for number in range(1, 14)]
STOP = [f"S{number}" for number in range(1, 8)]
WORKERS = [f"W{number}" for number in range(1, 19)]
NETWORK = [f"N{number}" for number in range(1, 13)]
LOGS = [f"L{number}" for number in range(1, 8)]
ROWS = RELOAD + STOP + WORKERS + NETWORK + LOGS
ROW = re.compile(r"^\| ([A-Z]\d+) \| (.+?) \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def problems(text: str) -> list[str]:
    """What is wrong with the page, one line each."""
    found = []
    rows = ROW.findall(text)
    ids = [row[0] for row in rows]
    if ids != ROWS:
        found.append(f"rows: expected {' '.join(ROWS)}, got {' '.join(ids)}")
    for number, _, cell in rows:
        named = NAMED.findall(cell)
        if not named:
            found.append(f"{number}: names no test")
        if rest := NAMED.sub("", cell).strip():
            found.append(f"{number}: is not a test: {rest}")
        found += [f"{number}: {path} has no {name}" for path, name in named if name not in functions_in(path)]
    return found


@cache  # they are parsed once for all tests here
def functions_in(path: str) -> set[str]:
    """Names of the test functions of a file; none when there is no such file."""
    file = ROOT / path
    if not file.exists():
        return set()
    functions = (node for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def test_every_guarantee_names_tests_that_exist() -> None:
    assert problems(PAGE.read_text()) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("test_heart_beats_without_a_file", "test_heart_beats_in_a_file", "test_master.py has no test_heart_beats_in"),
        ("tests/integration/test_master.py", "tests/integration/test_nobody.py", "test_nobody.py has no"),
        ("| L1 |", "| L9 |", "rows: expected"),
        ("`tests/integration/test_master.py::test_heart_beats_without_a_file`", "soon", "W8: names no test"),
    ],
)
def test_a_made_up_name_is_found(old: str, new: str, complaint: str) -> None:
    assert any(complaint in problem for problem in problems(PAGE.read_text().replace(old, new)))
