"""`gunicorn.systemd`: what systemd says to a service and hears from it, over process/systemd.py.

Rules for editing: names and results are Gunicorn's; the rules of the protocol are in process/systemd.py.
"""

import os
from typing import Any, Final

from ostler.process import systemd

SD_LISTEN_FDS_START: Final = systemd.FIRST_FD


def listen_fds(unset_environment: bool = True) -> int:
    """How many sockets systemd has passed to this process, from descriptor 3 on. Raises ConfigError."""
    return len(systemd.listen_fds(os.environ if unset_environment else dict(os.environ), os.getpid()))


def sd_notify(state: str, logger: Any, unset_environment: bool = False) -> None:
    """Tell the service manager, if there is one; a failure is a line at level debug."""
    if "NOTIFY_SOCKET" not in os.environ:
        return
    if not systemd.notify(state, os.environ):
        logger.debug("systemd does not take the notification %r", state)
    if unset_environment:
        del os.environ["NOTIFY_SOCKET"]
