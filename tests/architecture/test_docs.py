"""The pages are up to date with the files and the code that they show, and their links lead somewhere."""

from pathlib import Path

import pytest

from docs.refresh import ROOT, SHOWN, broken_links, pages, refreshed


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_page_is_fresh_and_its_links_lead_somewhere(page: Path) -> None:
    assert page.read_text() == refreshed(page), "say: make docs"
    assert broken_links(page, page.read_text()) == []


def test_a_stale_page_and_a_broken_link_are_found() -> None:
    stale = "<!-- file: LICENSE -->\n```\nnot the licence\n```\n"
    assert SHOWN.search(stale)
    assert broken_links(ROOT / "README.md", "[a](no-such-page.md) [b](LICENSE)") == ["README.md: no-such-page.md"]
