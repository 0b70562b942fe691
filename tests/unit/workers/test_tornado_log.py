"""What tornado logs, in the error log of a worker whose application has configured nothing."""

import logging

from ostler.workers.tornado import _Lent
from tests.unit.app.serving import Log


class StreamClosedError(OSError):
    """By its name, as tornado's own."""


def logged(error):
    log = Log()
    logger = logging.Logger("tornado.application")
    logger.addHandler(_Lent(log))
    try:
        raise error
    except OSError:
        logger.exception("Uncaught exception GET /\nHTTPServerRequest()")
    return log.lines


def test_a_client_that_has_left_is_one_line():
    assert logged(StreamClosedError()) == [("INFO", 'client gone what="Uncaught exception GET /"')]


def test_everything_else_is_passed_on():
    ((level, message),) = logged(OSError("disk"))
    assert (level, message) == ("ERROR", "Uncaught exception GET /\nHTTPServerRequest()")
