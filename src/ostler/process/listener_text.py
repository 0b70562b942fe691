"""A listener as text beside its descriptor, so that a worker that was not forked by the master has it all the same.

The master describes what a mold is to give to a worker (messages.ForkWorker); the worker makes Listeners of it.

Rules for editing: both ends are the same program, started from the same files: a change needs no versions.
"""

import json
import socket as _socket

from ostler import real
from ostler.config.address import TcpAddress, UnixAddress
from ostler.process.inherited import Origin
from ostler.process.listeners import Listener

_socket_class = real.Socket


def describe(listener: Listener) -> str:
    """For `rebuild`; its descriptor goes beside it."""
    address, origin = listener.address, listener.origin
    if isinstance(address, UnixAddress):
        where: list[object] = [address.path, address.abstract]
    else:
        where = [address.host, address.port]
    whose = None if origin is None else [origin.fd, origin.name, origin.activated]
    return json.dumps([listener.socket.family == _socket.AF_UNIX, where, listener.inherited, whose, listener.slot])


def rebuild(text: str, fd: int) -> Listener:
    """The listener, which owns `fd` from now on, as it was when it was described. Raises OSError, ValueError."""
    unix, where, inherited, whose, slot = json.loads(text)
    sock = _socket_class(fileno=fd)
    sock.setblocking(False)
    address = UnixAddress(where[0], abstract=where[1]) if unix else TcpAddress(where[0], where[1])
    origin = None if whose is None else Origin(whose[0], whose[1], activated=whose[2])
    return Listener(sock, address, inherited=inherited, origin=origin, slot=slot)
