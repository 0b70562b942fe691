"""A line for a log that may be broken: handlers, filters and the clock are user code, and may raise.

Rules for editing: never raises; when the log does, the line is on stderr, with what the log raised.
"""

import contextlib
import logging
import traceback
from typing import Final

from ostler import real

_STDERR: Final = 2


def tell(log: logging.Logger, level: int, text: str, *, with_traceback: bool = False) -> None:
    """with_traceback: in an except clause, of what is being handled."""
    try:
        log.log(level, "%s", text, exc_info=with_traceback)
    except Exception:  # noqa: BLE001  user code
        with contextlib.suppress(Exception):
            why = f"the log could not be written, for a handler or filter of it raised:\n{traceback.format_exc()}"
            real.write(_STDERR, f"{text}\n{why}".encode("utf-8", "backslashreplace"))
