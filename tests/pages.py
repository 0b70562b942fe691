"""Log lines that pages show, so that tests can hold them true: a code block below `<!-- log: NAME -->`.

A real line is never the same twice, so what is compared is its shape: the sentence, the keys in their order, and the
values that do not change: of `cause` and `cure`.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "docs" / "how-to" / "common-problems.md", ROOT / "docs" / "explanation" / "broken-applications.md")
BLOCK = re.compile(r"^<!-- log: (\w+) -->\n```\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FIELD = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|[^ ]+)')
DATE = re.compile(r"^\[\d{4}-[^\]]*\] \[\d+\] \[[A-Z]+\] |^\[[A-Z]+\] ")
CONSTANT = ("cause", "cure", "reason")
OPTIONAL = ("last",)  # what was served before, if anything was

Shape = tuple[str, ...]


def assert_shown(name: str, line: str) -> None:
    """Each block about `name` has a line of the shape of this real one, and there is a block."""
    blocks = [block for page in PAGES for title, block in BLOCK.findall(page.read_text()) if title == name]
    assert blocks, f"no page shows <!-- log: {name} -->"
    for block in blocks:
        assert shape(line) in [shape(each) for each in block.splitlines()], block


def shape(line: str) -> Shape:
    """Of one line of a log; two lines of the same event have the same."""
    text = DATE.sub("", line)
    sentence = FIELD.split(text, maxsplit=1)[0]
    fields = FIELD.findall(text)
    shown = [(key, value) for key, value in fields if key not in OPTIONAL]
    return (sentence, *(f"{key}={value}" if key in CONSTANT else key for key, value in shown))
