"""Listeners that come from outside or go on to the next master: systemd's activation and USR2, as `rebind` wants them.

At its start a master makes a list of what it was passed (`activate`, `take_over`), and gives it to `rebind` as what
there is already; that list stays good when `rebind` fails and is tried again. The descriptors themselves go to the next
master by reexec.py; `for_successor` says beside them which are a guest's.

Rules for editing: no policy; system calls are bound at import.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence

from ostler.config.address import Address, FdAddress
from ostler.process.inherited import HAND_ON, Origin, adopt, hand_on, real_address
from ostler.process.listeners import Listener, asks_for
from ostler.process.systemd import Activated

_close = os.close


def activate(
    sockets: Sequence[Activated], addresses: Sequence[Address], backlog: int
) -> tuple[list[Listener], list[str]]:
    """systemd's sockets as Listeners for `rebind`, and the names of those that `addresses` do not ask for: closed.

    Without a descriptor in `addresses` all are asked for. Raises BindError for one that cannot be used.
    """
    wanted = [address for address in addresses if isinstance(address, FdAddress)]
    listeners: list[Listener] = []
    unused = []
    for each in sockets:
        origin = Origin(each.fd, each.name, activated=True)
        if wanted and not any(asks_for(address, origin) for address in wanted):
            unused.append(each.name)
            with contextlib.suppress(OSError):
                _close(each.fd)
            continue
        sock = adopt(each.fd, f'LISTEN_FDS: cannot listen on socket {each.fd} "{each.name}"', backlog)
        listeners.append(Listener(sock, real_address(sock), origin=origin))
    return listeners, unused


def take_over(fds: Sequence[int], origins: Mapping[int, Origin], backlog: int) -> list[Listener]:
    """The sockets of the master before us (`reexec.handed_over`) as Listeners for `rebind`: disowned until it is gone.

    origins: `inherited.handed_on`. What `rebind` does not keep is the caller's to close. Raises BindError.
    """
    listeners = []
    for fd in dict.fromkeys(fds):
        sock = adopt(fd, "GUNICORN_FD: cannot listen on the socket of the former master", backlog, claimed=True)
        listeners.append(Listener(sock, real_address(sock), inherited=True, origin=origins.get(fd)))
    return listeners


def for_successor(listeners: Iterable[Listener]) -> dict[str, str]:
    """A variable, if one is needed, for the master that gets these listeners (`reexec.exec_again`): whose they are."""
    origins = hand_on((listener.fd, listener.origin) for listener in listeners if listener.origin is not None)
    return {HAND_ON: origins} if origins else {}
