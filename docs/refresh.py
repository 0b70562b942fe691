"""`make docs` (python -m docs.refresh): refresh what pages show of files, rewrite the reference, check relative links.

A page shows a file by a comment before a code block: `<!-- file: examples/flask_app/ostler.conf.py -->`. The block's
content is the file's. tests/architecture/test_docs.py fails when a page is not fresh.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from docs import compatibility
from ostler.config import reference, schema

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
MADE: dict[Path, Callable[[], str]] = {
    REFERENCE / "settings.md": reference.render,
    REFERENCE / "compatibility.md": compatibility.render,
    REFERENCE / "ostler.schema.json": schema.render,
}
SHOWN = re.compile(r"(?P<open><!-- file: (?P<path>\S+) -->\n```\w*\n).*?(?P<close>^```$)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)")
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def pages() -> list[Path]:
    """Every Markdown page of the project."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def refreshed(page: Path) -> str:
    """What the page should be."""
    if page in MADE:
        return MADE[page]()
    return SHOWN.sub(
        lambda block: block["open"] + (ROOT / block["path"]).read_text() + block["close"], page.read_text()
    )


def broken_links(page: Path, text: str) -> list[str]:
    """Relative links of the page that lead nowhere."""
    targets: list[str] = LINK.findall(CODE.sub("", text))
    return [f"{page.relative_to(ROOT)}: {target}" for target in targets if not (page.parent / target).exists()]


def main() -> int:
    REFERENCE.mkdir(exist_ok=True)
    for path in MADE:
        path.touch()
    broken = []
    for page in sorted({*pages(), *MADE}):
        text = refreshed(page)
        if text != page.read_text():
            page.write_text(text)
            print(f"refreshed {page.relative_to(ROOT)}")
        if page.suffix == ".md":
            broken += broken_links(page, text)
    for link in broken:
        print(f"broken link in {link}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
