"""Response heads that are larger than Nginx takes unless it is told: its client gets a 502 of which nobody else hears.

Nginx reads the head into one buffer, `proxy_buffer_size`, of a page of memory (4 KiB, on some machines 8). One line a
minute says which request has such a head, its largest field, and where in the application it comes from. A WSGI
application has returned when its head is made, so the first line has no place; from then on `start_response` looks.

Rules for editing: nothing here runs before the first such head (`exchange.start` says whether it is one); called by all
threads of a worker.
"""

import logging
import sys
from collections.abc import Sequence
from time import monotonic as _monotonic
from types import FrameType
from typing import Final

from ostler.config.usercode import is_own_code, short_path
from ostler.http.connection import LARGE_HEAD_BYTES
from ostler.http.head import RequestHead
from ostler.logline import fields as words

EVERY_S: Final = 60.0
_PATH: Final = 200
_CAUSE: Final = f"more than the {LARGE_HEAD_BYTES} bytes of a response head that Nginx reads: it answers 502"
_CURE: Final = "send less in that field, or let Nginx take more: proxy_buffer_size 16k; proxy_buffers 8 16k"
Fields = Sequence[tuple[str, str]]


class LargeHeads:
    """Those of one worker."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._quiet_until = 0.0
        self._placed_until = 0.0

    def tell(self, head: RequestHead, response_fields: Fields, place: str = "") -> None:
        """One was sent. place: where in the application, if that is known."""
        now = _monotonic()
        if now < (self._placed_until if place else self._quiet_until):
            return
        self._quiet_until = now + EVERY_S
        self._placed_until = now + EVERY_S if place else 0.0
        name, value = max(response_fields, key=lambda field: len(field[1]), default=("", ""))
        said: dict[str, object] = {
            "request": f"{head.method} {head.path[:_PATH]}",
            "field": name,
            "field_bytes": len(value),
        }
        if place:
            said["at"] = place
        said |= {"cause": _CAUSE, "cure": _CURE}
        self._log.warning("%s", words("response head is large", **said))


def may_be_large(fields: Fields) -> bool:
    """Whether a head with these fields may be one; ours add less than 1 KiB."""
    return sum(len(name) + len(value) + 4 for name, value in fields) > LARGE_HEAD_BYTES - 1024


def place_of_caller() -> str:
    """`app.py:12 in page`: the innermost frame of the application's own; empty without one."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if is_own_code(code.co_filename):
            return f"{short_path(code.co_filename)}:{frame.f_lineno} in {code.co_name}"
        frame = frame.f_back
    return ""
