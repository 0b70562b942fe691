"""What systemd says to a service and hears from it: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3), without
libsystemd.

The environment is an argument, and what stands in it is text of somebody else: it is checked, never trusted to be well
formed. Variables that were meant for this process are removed when they are read, as Gunicorn does: a child would take
them for its own.

Rules for editing: nothing waits; `notify` never raises, for a service must not fail because its manager does not
listen; system calls are bound at import (a config file may monkey patch `socket`).
"""

import os
import socket as _socket
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Final

from ostler import real
from ostler.errors import ConfigError

FIRST_FD: Final = 3
"""SD_LISTEN_FDS_START."""

_UNNAMED: Final = "unknown"  # what systemd itself calls a socket that has no name
_MOST_FDS: Final = 65536
_FLAGS: Final = getattr(_socket, "SOCK_CLOEXEC", 0) | getattr(_socket, "SOCK_NONBLOCK", 0)

_socket_class = real.Socket


@dataclass(frozen=True, slots=True)
class Activated:
    """One socket that systemd passed: its descriptor, and the name of FileDescriptorName= (or of the socket unit)."""

    fd: int
    name: str


def listen_fds(environ: MutableMapping[str, str], pid: int) -> tuple[Activated, ...]:
    """The sockets that systemd passed to process `pid`; () when there are none or they are another process's.

    Removes the variables when they are ours. Raises ConfigError when LISTEN_PID names us and LISTEN_FDS is no count.
    """
    if environ.get("LISTEN_PID", "").strip() != str(pid):
        return ()
    text = environ.get("LISTEN_FDS", "0").strip()
    names = environ.get("LISTEN_FDNAMES", "")
    for variable in ("LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environ.pop(variable, None)
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) <= _MOST_FDS):
        raise ConfigError(
            f'LISTEN_FDS: expected the number of sockets that systemd passes, got "{text}" (from the environment); '
            "start Ostler from a systemd socket unit, or unset LISTEN_PID and LISTEN_FDS"
        )
    given = names.split(":") if names else []
    given += [_UNNAMED] * (int(text) - len(given))
    return tuple(Activated(FIRST_FD + index, given[index] or _UNNAMED) for index in range(int(text)))


def listens(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a service manager wants to hear of us, at an address that we can speak to (vsock: is a machine's)."""
    return environ.get("NOTIFY_SOCKET", "").startswith(("/", "@"))


def notify(text: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell the service manager `READY=1` or the like, one assignment a line. False: nobody to tell, or it failed.

    Never waits: a manager whose queue is full misses the message.
    """
    if not listens(environ):
        return False
    where = environ["NOTIFY_SOCKET"]
    # A leading @ stands for the NUL of an abstract socket.
    address = "\0" + where[1:] if where[0] == "@" else where
    try:
        with _socket_class(_socket.AF_UNIX, _socket.SOCK_DGRAM | _FLAGS) as sock:
            sock.setblocking(False)
            sock.sendto(text.encode(), address)
    except (OSError, ValueError):
        return False
    return True


def meant_for_another(environ: Mapping[str, str], pid: int) -> str | None:
    """The LISTEN_PID of sockets that were passed to another process (`uv run ostler` and shell wrappers cause it)."""
    meant = environ.get("LISTEN_PID", "").strip()
    return meant if meant and meant != str(pid) and environ.get("LISTEN_FDS", "0") != "0" else None


def watchdog_s(environ: Mapping[str, str], pid: int, heir: bool = False) -> float | None:
    """How long the service manager bears our silence, in seconds; None: it does not watch process `pid`.

    heir: it follows another master (USR2), whose pid is what WATCHDOG_PID still says.
    """
    text = environ.get("WATCHDOG_USEC", "").strip()
    meant = environ.get("WATCHDOG_PID", "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) > 0):
        return None
    return int(text) / 1e6 if heir or not meant or meant == str(pid) else None


def watches_another(environ: Mapping[str, str], pid: int) -> str | None:
    """The WATCHDOG_PID of a watchdog that was meant for another process, as `meant_for_another`."""
    return environ["WATCHDOG_PID"] if watchdog_s(environ, pid) is None and watchdog_s(environ, pid, heir=True) else None
