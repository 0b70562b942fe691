"""Listening sockets: made, named, kept across a reload, and removed again. socket(7), ip(7), unix(7).

A Unix socket file is taken over only when nobody answers behind it, and unlinked only while it is still the file that
we made (failures R11, N12). Workers inherit listeners by fork; only the master unlinks.

Rules for editing: no retries and no waiting here (the master decides those); system calls are bound at import, before a
config file could monkey patch them.
"""

import contextlib
import errno
import os
import socket as _socket
import stat
from collections.abc import Sequence
from typing import Final

from ostler.config.address import Address, TcpAddress, UnixAddress
from ostler.errors import BindError, reason_of

_socket_class = _socket.socket
_lstat = os.lstat
_unlink = os.unlink
_umask = os.umask

_PROBE_S: Final = 1.0
_UNIX_PATH_BYTES: Final = 107

_CURES: Final = {
    errno.EACCES: "permission denied; use a port above 1023, grant CAP_NET_BIND_SERVICE, or let the user write there",
    errno.EADDRINUSE: "address already in use; stop the other server or choose another address",
    errno.EADDRNOTAVAIL: "this machine has no such address; use one of its own, or 0.0.0.0 for all",
    errno.EAFNOSUPPORT: "this machine does not support the address family",
    errno.ENOENT: "no such directory; create it first",
    errno.ENOTDIR: "a part of the path is not a directory",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n)",
}


class AddressInUse(BindError):
    """Somebody else listens there now; trying again later may help."""


class Listener:
    """A listening, non-blocking socket and the address it was asked to listen on."""

    __slots__ = ("_inode", "address", "name", "socket")

    def __init__(self, sock: _socket.socket, address: Address) -> None:
        self.socket = sock
        self.address = address
        self.name = _name(sock, address)
        self._inode = _inode(address.path) if isinstance(address, UnixAddress) else None

    def __repr__(self) -> str:
        return f"Listener({self.name})"

    @property
    def fd(self) -> int:
        return self.socket.fileno()

    def fileno(self) -> int:
        return self.socket.fileno()

    def shutdown(self) -> None:
        """Stop listening in every process that shares the socket (Linux); then close our copy."""
        # another process was first, or the system (macOS) does not do this to listeners
        with contextlib.suppress(OSError):
            self.socket.shutdown(_socket.SHUT_RDWR)
        self.close()

    def close(self) -> None:
        self.socket.close()

    def unlink(self) -> None:
        """Remove the socket file if it is still ours. For the master; nothing happens for TCP."""
        if isinstance(self.address, UnixAddress) and self._inode == _inode(self.address.path):
            # removed meanwhile, or the directory is not ours any more: nothing is left to do
            with contextlib.suppress(OSError):
                _unlink(self.address.path)
        self._inode = (0, 0)


def bind_all(addresses: Sequence[Address], backlog: int) -> tuple[Listener, ...]:
    """Listen on every address, or on none. Raises AddressInUse or BindError."""
    return rebind((), addresses, backlog)


def rebind(current: Sequence[Listener], addresses: Sequence[Address], backlog: int) -> tuple[Listener, ...]:
    """Listeners for `addresses`: those of `current` with the same address are kept, the others are made.

    Nothing of `current` is closed. Raises AddressInUse or BindError with whatever was made closed again.
    """
    spare = list(current)
    made: list[Listener] = []
    listeners: list[Listener] = []
    try:
        for address in addresses:
            kept = next((listener for listener in spare if listener.address == address), None)
            if kept is None:
                made.append(bind(address, backlog))
            else:
                spare.remove(kept)  # an address may stand there twice: port 0, which is another port each time
                kept.socket.listen(backlog)  # on a listening socket: changes its backlog, loses nothing
            listeners.append(kept or made[-1])
    except BaseException:
        for listener in made:
            listener.close()
            listener.unlink()
        raise
    return tuple(listeners)


def bind(address: Address, backlog: int) -> Listener:
    """Listen on one address. Raises AddressInUse or BindError."""
    try:
        sock = _bind_unix(address) if isinstance(address, UnixAddress) else _bind_tcp(address)
    except OSError as error:
        raise _refusal(address, error) from error
    try:
        sock.setblocking(False)
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise _refusal(address, error) from error
    return Listener(sock, address)


def _bind_tcp(address: TcpAddress) -> _socket.socket:
    found = _socket.getaddrinfo(
        address.host,
        address.port,
        type=_socket.SOCK_STREAM,
        flags=_socket.AI_PASSIVE,
    )
    # A name such as localhost may have both families; IPv4 first, as Gunicorn listens.
    family, kind, protocol, _, where = min(found, key=lambda entry: entry[0] != _socket.AF_INET)
    sock = _socket_class(family, kind, protocol)
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        # Inherited by every accepted connection (tcp(7)): a response in several blocks must not wait for ACKs.
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        sock.bind(where)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_unix(address: UnixAddress) -> _socket.socket:
    if len(os.fsencode(address.path)) > _UNIX_PATH_BYTES:
        raise BindError(
            f"bind: cannot listen on {address}: a socket path has at most {_UNIX_PATH_BYTES} bytes; use a shorter one"
        )
    _clear_stale(address)
    sock = _socket_class(_socket.AF_UNIX, _socket.SOCK_STREAM)
    # Everyone may connect, as with Gunicorn's default umask of 0: the directory's mode is the place to restrict that.
    former = _umask(0)
    try:
        sock.bind(address.path)
    except BaseException:
        sock.close()
        raise
    finally:
        _umask(former)
    return sock


def _clear_stale(address: UnixAddress) -> None:
    """Remove a socket file that nobody listens behind; raise when there is anything else in the way."""
    try:
        mode = _lstat(address.path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise BindError(f"bind: cannot listen on {address}: the file exists and is not a socket; remove it")
    with _socket_class(_socket.AF_UNIX, _socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(address.path)
        except (ConnectionRefusedError, FileNotFoundError):
            pass
        except OSError as error:
            # EAGAIN or a timeout: its backlog is full, so it lives. EACCES: it may live, and is not ours to remove.
            reason = f"another server may own it ({_reason(error)}); stop that first"
            raise AddressInUse(f"bind: cannot listen on {address}: {reason}") from error
        else:
            reason = "another server answers there; stop it or choose another path"
            raise AddressInUse(f"bind: cannot listen on {address}: {reason}")
    with contextlib.suppress(FileNotFoundError):
        _unlink(address.path)


def _name(sock: _socket.socket, address: Address) -> str:
    """The URL that Gunicorn would print: tools look for it."""
    if isinstance(address, UnixAddress):
        return str(address)
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if sock.family == _socket.AF_INET6 else f"http://{host}:{port}"


def _inode(path: str) -> tuple[int, int]:
    try:
        found = _lstat(path)
    except OSError:
        return (0, 0)
    return (found.st_dev, found.st_ino)


def _refusal(address: Address, error: OSError) -> BindError:
    text = f"bind: cannot listen on {address}: {_reason(error)}"
    return AddressInUse(text) if error.errno == errno.EADDRINUSE else BindError(text)


def _reason(error: OSError) -> str:
    if isinstance(error, _socket.gaierror):
        return f"the host name is not known ({error.strerror}); use an address of this machine"
    return _CURES.get(error.errno or 0, reason_of(error))
