"""Rows of text -> lines of a table: columns as wide as their cells, numbers to the right, nothing cut but the last one.

Rules for editing: pure. width None is a pipe or a file: then nothing is cut at all.
"""

from collections.abc import Sequence
from typing import Final

from ostler.logline import escape

_GAP: Final = "  "
_LEAST: Final = 12
"""Columns that the last cell keeps on a narrow terminal."""
_CUT: Final = "..."


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], width: int | None) -> list[str]:
    """A column whose cells are all numbers is to the right. None is shown as "-". width: of the terminal."""
    cells = [[_cell(each) for each in row] for row in rows]
    wide = [max(len(line[column]) for line in [list(headers), *cells]) for column in range(len(headers))]
    right = [all(map(_is_number, column)) for column in zip(*rows, strict=True)]
    right = right or [False] * len(headers)
    return [_line(line, wide, right, width) for line in [list(headers), *cells]]


def pairs(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Names and what is to say about them; those about which there is nothing are left out."""
    said = [(name, escape(text)) for name, text in rows if text]
    wide = max((len(name) for name, _ in said), default=0)
    return [f"{name.ljust(wide)}{_GAP}{text}" for name, text in said]


def seconds(value: float | None) -> str:
    """0.25 s, 12.3 s, 4 min 10 s, 3 h 5 min, 2 d 4 h."""
    if value is None:
        return "-"
    if value < 10:
        return f"{value:.2f} s"
    if value < 59.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(int(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def mebibytes(value: int | None) -> str:
    """To the next one."""
    return "-" if value is None else f"{value / 1048576:.0f}M"


def _is_number(value: object) -> bool:
    """Also one with its unit: 31M."""
    return isinstance(value, int | float | None) or value == "-" or (isinstance(value, str) and value[:-1].isdigit())


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case float():
            return f"{value:.1f}"
    return escape(str(value))


def _line(cells: Sequence[str], wide: Sequence[int], right: Sequence[bool], width: int | None) -> str:
    *first, last = cells
    text = "".join(
        (cell.rjust(wide[column]) if right[column] else cell.ljust(wide[column])) + _GAP
        for column, cell in enumerate(first)
    )
    if right[len(first)]:
        last = last.rjust(wide[len(first)])
    room = None if width is None else max(_LEAST, width - len(text))
    if room is not None and len(last) > room:
        last = last[: room - len(_CUT)] + _CUT
    return (text + last).rstrip()
