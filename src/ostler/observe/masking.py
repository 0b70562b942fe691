"""What of a request is shown to people: `mask_query` takes the query away, for it may carry names, tokens and keys.

Rules for editing: pure text. The page of a process (scoreboard.py) keeps the target as it came; it is masked where it
is shown: in reports, incidents and status. The access log has a format of its own.
"""

from typing import Final

MASK: Final = "?***"


def shown(what: str, mask: bool) -> str:
    """`GET /path?a=1` as it is shown; mask: the setting `mask_query`."""
    if not mask:
        return what
    path, mark, _ = what.partition("?")
    return path + MASK if mark else path
