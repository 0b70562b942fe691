"""The pages that are made from tables of ours; this fails when somebody changed only one of them."""

from pathlib import Path

import pytest

from docs.refresh import MADE, ROOT


@pytest.mark.parametrize("path", MADE, ids=lambda path: path.name)
def test_reference_is_up_to_date(path: Path) -> None:
    assert path.read_text() == MADE[path](), f"{path.relative_to(ROOT)} is stale; say: make docs"
