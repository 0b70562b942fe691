"""Sockets that this process is started with: checked before they are used, and who they belong to.

They come from systemd (LISTEN_FDS), from whoever else opened them (fd://N), or from the master before us (USR2). Of the
first two we are a guest for good: others may listen on them too and go on when we end (`Origin`).

Rules for editing: a descriptor that is refused is left as it was found, for it may be tried again, or be somebody's;
system calls are bound at import. An inherited descriptor is one that survives exec: all that Python opens do not
(PEP 446), which tells a number that we were given from one that we happen to have.
"""

import errno
import fcntl
import os
import socket as _socket
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from typing import Final

from ostler import real
from ostler.config.address import TcpAddress, UnixAddress
from ostler.errors import BindError, ConfigError, reason_of

HAND_ON: Final = "_OSTLER_FD_ORIGINS"
"""Beside GUNICORN_FD: which of the sockets that a master hands to its successor are not its own. Not a setting."""

_FIRST_FREE: Final = 3  # below are the standard streams
_START: Final = "start Ostler from what opens it, or bind an address instead"

_socket_class = real.Socket
_get_inheritable = os.get_inheritable
_set_inheritable = os.set_inheritable
_fcntl = fcntl.fcntl
_close = os.close


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose a socket is that will never be ours: the number that it came with, systemd's name for it or "".

    activated: it came by LISTEN_FDS, and so stands in for `bind` when that names no descriptor.
    """

    fd: int
    name: str = ""
    activated: bool = False


def adopt(fd: int, source: str, backlog: int, *, claimed: bool = False) -> _socket.socket:
    """The socket behind an inherited descriptor: listening, non-blocking, closed on exec; 0 to 2 are duplicated.

    source begins the error: `bind: cannot listen on fd://7`. claimed: whoever calls knows that it is inherited, and may
    have marked it. Raises BindError and leaves the descriptor alone then.
    """
    try:
        if not claimed and not _get_inheritable(fd):
            raise BindError(f"{source}: descriptor {fd} is not one that Ostler was started with; {_START}")
        own = _fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE) if fd < _FIRST_FREE else fd
        sock = _socket_class(fileno=own)
    except OSError as error:
        if error.errno == errno.EBADF:
            raise BindError(f"{source}: descriptor {fd} is not open; {_START}") from error
        if error.errno == errno.ENOTSOCK:
            _drop_duplicate(own, fd)
            raise BindError(f"{source}: descriptor {fd} is not a socket; {_START}") from error
        raise BindError(f"{source}: descriptor {fd} cannot be used: {reason_of(error)}; {_START}") from error
    try:
        _check(sock, source)
        _prepare(sock, backlog)
    except BaseException as error:
        sock.detach()
        _drop_duplicate(own, fd)
        if isinstance(error, OSError):
            raise BindError(f"{source}: the socket cannot listen: {reason_of(error)}; {_START}") from error
        raise
    return sock


def release(sock: _socket.socket, origin: Origin) -> None:
    """Give an adopted socket back, as if it had not been adopted: somebody may want it yet."""
    fd = sock.detach()
    if fd == origin.fd:
        _set_inheritable(fd, True)
    elif fd >= 0:
        _close(fd)


def real_address(sock: _socket.socket) -> TcpAddress | UnixAddress:
    """Where it is bound."""
    name = sock.getsockname()
    if sock.family != _socket.AF_UNIX:
        return TcpAddress(name[0], name[1])
    if isinstance(name, bytes):
        return UnixAddress(os.fsdecode(name[1:]), abstract=True)
    return UnixAddress(name)


def listens(sock: _socket.socket) -> bool:
    return bool(sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN))


def hand_on(origins: Iterable[tuple[int, Origin]]) -> str:
    """The value of HAND_ON: `FD,NUMBER,ACTIVATED,NAME` of each, by colons, which systemd does not allow in names."""
    return ":".join(f"{fd},{each.fd},{int(each.activated)},{each.name}" for fd, each in origins)


def handed_on(environ: MutableMapping[str, str]) -> dict[int, Origin]:
    """The origins that the master before us tells, by descriptor; removes the variable. Raises ConfigError."""
    text = environ.pop(HAND_ON, "")
    found = {}
    for entry in text.split(":") if text else ():
        try:
            fd, number, activated, name = entry.split(",", 3)
            found[int(fd)] = Origin(int(number), name, bool(int(activated)))
        except ValueError:
            raise ConfigError(
                f'{HAND_ON}: expected FD,NUMBER,ACTIVATED,NAME, got "{entry}" (from the environment); unset it'
            ) from None
    return found


def _check(sock: _socket.socket, source: str) -> None:
    if sock.family not in (_socket.AF_INET, _socket.AF_INET6, _socket.AF_UNIX):
        raise BindError(f"{source}: expected a TCP or Unix socket, got one of family {int(sock.family)}; {_START}")
    if sock.type != _socket.SOCK_STREAM:
        kind = "a datagram" if sock.type == _socket.SOCK_DGRAM else "another"
        raise BindError(f"{source}: expected a stream socket, got {kind} one; use ListenStream= in its systemd unit")
    if listens(sock):
        return
    try:
        sock.getpeername()
    except OSError:
        pass
    else:
        raise BindError(f"{source}: expected a listening socket, got a connection; set Accept=no in its systemd unit")
    real = real_address(sock)
    if (not real.path and not real.abstract) if isinstance(real, UnixAddress) else real.port == 0:
        raise BindError(f"{source}: the socket is bound to no address; bind it before Ostler is started")


def _prepare(sock: _socket.socket, backlog: int) -> None:
    if sock.family != _socket.AF_UNIX:
        # Inherited by every accepted connection (tcp(7)), as of those that we bind ourselves.
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    if not listens(sock):  # to do it again may be denied (SELinux), and the backlog is its owner's affair
        sock.listen(backlog)
    _set_inheritable(sock.fileno(), False)


def _drop_duplicate(own: int, fd: int) -> None:
    if own != fd:
        _close(own)
