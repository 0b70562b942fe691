"""The reference page of the settings is made from the table; this fails when somebody changed only one of them."""

from pathlib import Path

from ostler.config.reference import render

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def test_reference_page_is_up_to_date() -> None:
    assert PAGE.read_text() == render(), (
        "docs/reference/settings.md is stale; run: python -m ostler.config.reference > docs/reference/settings.md"
    )
