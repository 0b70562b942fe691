"""Files that users log to with handlers of their own: opened anew at USR1, as Gunicorn does for every FileHandler.

Rules for editing: a file that cannot be opened is kept as it is, and the error log says so.
"""

import logging
import logging.handlers
from collections.abc import Iterable, Iterator

from ostler.errors import reason_of
from ostler.logline import fields


def all_loggers() -> Iterator[logging.Logger]:
    """The root logger, and each that somebody has asked for."""
    yield logging.root
    for found in list(logging.root.manager.loggerDict.values()):
        if isinstance(found, logging.Logger):  # else a placeholder
            yield found


def all_handlers() -> Iterator[logging.Handler]:
    """Those on a logger, and those behind a MemoryHandler; one on several loggers comes once."""
    seen: set[int] = set()
    for logger in all_loggers():
        for handler in logger.handlers[:]:
            target = handler.target if isinstance(handler, logging.handlers.MemoryHandler) else None
            for each in (handler, target):
                if each is not None and id(each) not in seen:
                    seen.add(id(each))
                    yield each


def reopen_file_handlers(log: logging.Logger, besides: Iterable[logging.Handler] = ()) -> None:
    """Open the file of each logging.FileHandler by its name again. besides: handlers that are on no logger now."""
    for handler in {id(handler): handler for handler in (*all_handlers(), *besides)}.values():
        if isinstance(handler, logging.FileHandler):
            try:
                _reopen(handler)
            except OSError as error:
                text = fields(
                    "log file not reopened, the former one is kept", file=handler.baseFilename, error=reason_of(error)
                )
                log.error("%s", text)


def _reopen(handler: logging.FileHandler) -> None:
    handler.acquire()
    try:
        former = handler.stream
        if former is None:  # delay=True, and nothing was logged yet
            return
        handler.stream = handler._open()
        former.close()
    finally:
        handler.release()
