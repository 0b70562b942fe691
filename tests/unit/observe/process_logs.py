"""Logs in tests: whatever is opened, set up or captured, the process is as before when `process_logs` ends."""

import contextlib
import logging
import os

from ostler.observe import logs as logs_module
from ostler.observe.capture import STANDARD
from ostler.observe.handlers import LoggerState
from ostler.observe.logs import Clocks, Logs
from ostler.observe.plan import LogPlan
from ostler.observe.userfiles import all_handlers, all_loggers


class Desk:
    """Makes Logs; `now` is what their wall clock says."""

    def __init__(self):
        self.now = 1_795_256_838.75
        self.made = []

    def __call__(self, **plan):
        made = Logs(LogPlan(**plan), Clocks(wall=lambda: self.now))
        self.made.append(made)
        return made


@contextlib.contextmanager
def process_logs():
    names = ("gunicorn.error", "gunicorn.access")
    for name in names:
        logging.getLogger(name)
    before = [LoggerState.of(logger) for logger in all_loggers()]
    known = {id(handler) for handler in all_handlers()}
    descriptors = [os.dup(1), os.dup(2)]
    for name in names:
        logger = logging.getLogger(name)
        logger.handlers, logger.filters = [], []
    desk = Desk()
    try:
        yield desk
    finally:
        Logs._installed = None
        STANDARD.release()
        for number, saved in zip((1, 2), descriptors, strict=True):
            os.dup2(saved, number)
            os.close(saved)
        for fd in STANDARD._former or ():
            os.close(fd)
        STANDARD._former = None
        for logs in desk.made:
            logs.close()
        for handler in list(all_handlers()):
            if id(handler) not in known:
                handler.close()
        for logger in all_loggers():
            logger.handlers = []
        for state in before:
            state.restore()
        assert logs_module.Logs._installed is None
