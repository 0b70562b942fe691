"""Listening sockets: made, named, kept across a reload, and removed again. socket(7), ip(7).

Workers inherit listeners by fork; only the master unlinks, and neither shuts what is not its own (`inherited`). Socket
files are in socket_file.py, sockets from outside in inherited.py and passing.py, one socket per worker in slots.py.

Rules for editing: no retries and no waiting here (the master decides those); nothing of the caller's is closed; system
calls are bound at import, before a config file could monkey patch them.
"""

import contextlib
import errno
import os
import socket as _socket
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ostler import real
from ostler.config.address import Address, FdAddress, TcpAddress, UnixAddress
from ostler.errors import BindError
from ostler.process import queues, socket_file
from ostler.process.inherited import Origin, adopt, real_address, release
from ostler.process.refusal import AddressInUse, refusal, sentence
from ostler.process.socket_file import NO_FILE, mark_of

__all__ = ["AddressInUse", "BindOptions", "Listener", "bind", "bind_all", "rebind"]

_socket_class = real.Socket
_lstat = os.lstat

_SOMAXCONN: Final = "/proc/sys/net/core/somaxconn"


@dataclass(frozen=True, slots=True)
class BindOptions:
    """How listeners are made. umask: the bits that a socket file's mode, 0777, goes without. owner: its user and group
    id; None: as they come. reuse_port: other sockets may listen on the same TCP address (SO_REUSEPORT).
    """

    umask: int = 0
    owner: tuple[int, int] | None = None
    reuse_port: bool = False


_AS_THEY_COME: Final = BindOptions()


class Listener:
    """A listening, non-blocking socket and the address it was asked to listen on (of an inherited one, where it is).

    inherited: another process has it too and goes on with it: never shut down, its file never removed.
    origin: set when that is so for good. slot: of reuse_port, the number of the worker that has it; None: all have it.
    crowded: of reuse_port, another server was on the same port when this one came, and takes a part of the clients.
    given_up: its last worker was told to empty it and to shut it: nobody can listen there again.
    """

    __slots__ = ("_mark", "address", "crowded", "given_up", "inherited", "name", "origin", "slot", "socket")

    def __init__(
        self,
        sock: _socket.socket,
        address: TcpAddress | UnixAddress,
        *,
        inherited: bool = False,
        origin: Origin | None = None,
        slot: int | None = None,
    ) -> None:
        self.socket = sock
        self.address = address
        self.inherited = inherited or origin is not None
        self.origin = origin
        self.slot = slot
        self.crowded = False
        self.given_up = False
        self.name = _name(sock, address)
        self._mark = NO_FILE
        if isinstance(address, UnixAddress) and not address.abstract:
            self._mark = mark_of(address.path)

    def __repr__(self) -> str:
        return f"Listener({self.name})"

    @property
    def fd(self) -> int:
        return self.socket.fileno()

    def fileno(self) -> int:
        return self.socket.fileno()

    def disown(self) -> None:
        """From now on another master has it too."""
        self.inherited = True

    def own(self) -> None:
        """The other master is gone. Of a guest's socket (`origin`) nobody becomes the owner."""
        self.inherited = self.origin is not None

    def shutdown(self) -> None:
        """Stop listening in every process that shares the socket (Linux), if it is ours; close our copy."""
        if not self.inherited:
            # another process was first, or the system (macOS) does not do this to listeners
            with contextlib.suppress(OSError):
                self.socket.shutdown(_socket.SHUT_RDWR)
        self.close()

    def close(self) -> None:
        self.socket.close()

    def unlink(self) -> None:
        """Remove the socket file if it is still ours. For the master, after `shutdown`; nothing happens for TCP.

        A file that two masters share (USR2) goes when nobody listens any more: whoever ends last finds that.
        """
        if self.origin is None and self._mark != NO_FILE and isinstance(self.address, UnixAddress):
            if self.inherited:
                socket_file.remove_if_dead(self.address, self._mark)
                return  # workers of ours may still listen: it is asked again when they are gone
            socket_file.remove(self.address, self._mark)
            self._mark = NO_FILE

    def queue(self) -> queues.Queue | None:
        """How many connections wait to be accepted, and how many may; None: the system does not tell."""
        of = queues.of_unix if self.socket.family == _socket.AF_UNIX else queues.of_tcp
        return of(self.socket)

    def queued(self) -> int | None:
        """How many wait."""
        queue = self.queue()
        return None if queue is None else queue[0]


def bind_all(addresses: Sequence[Address], backlog: int, options: BindOptions = _AS_THEY_COME) -> tuple[Listener, ...]:
    """Listen on every address, or on none. Raises AddressInUse or BindError."""
    return rebind((), addresses, backlog, options)


def rebind(
    current: Sequence[Listener], addresses: Sequence[Address], backlog: int, options: BindOptions = _AS_THEY_COME
) -> tuple[Listener, ...]:
    """Listeners for `addresses`: those of `current` that are there are kept, the others are made.

    current: at the start what was inherited, at a reload what there is. systemd's sockets stand in for `addresses` as
    long as these name no descriptor. A kept socket file keeps its mode and owner. Nothing of `current` is closed.
    Raises AddressInUse or BindError with whatever was made closed again.
    """
    activated = tuple(each for each in current if each.origin is not None and each.origin.activated)
    if activated and not any(isinstance(address, FdAddress) for address in addresses):
        return activated
    spare = list(current)
    made: list[Listener] = []
    listeners: list[Listener] = []
    try:
        for address in addresses:
            found = _kept(spare, address, addresses)
            if not found:
                made.append(_made(address, backlog, options))
                found = made[-1:]
            for listener in found:
                if listener in spare:
                    spare.remove(listener)  # an address may stand there twice: port 0, another port each time
                    if listener.origin is None:
                        listener.socket.listen(backlog)  # on a listening socket: changes its backlog, loses nothing
            listeners += found
    except BaseException:
        for listener in made:
            _take_back(listener)
        raise
    return tuple(listeners)


def bind(address: TcpAddress | UnixAddress, backlog: int, options: BindOptions = _AS_THEY_COME) -> Listener:
    """Listen on one address. Raises AddressInUse or BindError."""
    crowded = False
    try:
        if isinstance(address, UnixAddress):
            sock = socket_file.listen_on(address, backlog, options.umask, options.owner)
        else:
            family, where = resolve(address)[0]
            crowded = options.reuse_port and _somebody_is_at(family, where)
            sock = listen_tcp(family, where, backlog, options.reuse_port)
    except OSError as error:
        raise refusal(address, error) from error
    sock.setblocking(False)
    listener = Listener(sock, address)
    listener.crowded = crowded
    return listener


def listen_tcp(family: int, where: tuple[object, ...], backlog: int, reuse_port: bool) -> _socket.socket:
    """A listening socket. Raises OSError."""
    sock = _bind_tcp(family, where, reuse_port)
    try:
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _somebody_is_at(family: int, where: tuple[object, ...]) -> bool:
    try:
        _bind_tcp(family, where, reuse_port=False).close()
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def _bind_tcp(family: int, where: tuple[object, ...], reuse_port: bool) -> _socket.socket:
    sock = _socket_class(family, _socket.SOCK_STREAM)
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEPORT, 1)
        # Inherited by every accepted connection (tcp(7)): a response in several blocks must not wait for ACKs.
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        sock.bind(where)
    except BaseException:
        sock.close()
        raise
    return sock


def resolve(address: TcpAddress) -> list[tuple[int, tuple[object, ...]]]:
    """The families and socket addresses of a host. IPv4 first, as Gunicorn listens: localhost may have both families.

    Raises OSError (gaierror).
    """
    found = real.getaddrinfo(address.host, address.port, type=_socket.SOCK_STREAM, flags=_socket.AI_PASSIVE)
    return sorted(((entry[0], entry[4]) for entry in found), key=lambda each: each[0] != _socket.AF_INET)


def backlog_limit() -> int | None:
    """The kernel's limit for every backlog (net.core.somaxconn); None: not known on this system."""
    try:
        with open(_SOMAXCONN, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _kept(spare: Sequence[Listener], address: Address, addresses: Sequence[Address]) -> list[Listener]:
    """Those that `address` asks for: one at most, but all systemd sockets of a name."""
    if isinstance(address, FdAddress):
        return [each for each in spare if each.origin is not None and asks_for(address, each.origin)]
    ours = [each for each in spare if each.origin is None]
    same = [each for each in ours if each.address == address and not each.inherited]
    if not same:
        same = [each for each in ours if each.inherited and _is_at(each, address)]
        if isinstance(address, TcpAddress) and address.port == 0:
            # Whatever port the former master got; but not one that is asked for by its number.
            others = [each for each in addresses if isinstance(each, TcpAddress) and each.port]
            same = [each for each in same if not any(_is_at(each, other) for other in others)]
        if same:
            same[0].address = address
    return same[:1]


def asks_for(address: FdAddress, origin: Origin) -> bool:
    """Whether the entry of `bind` means the socket of that origin."""
    return address.fd == origin.fd if address.fd is not None else origin.activated and address.name == origin.name


def _is_at(listener: Listener, address: TcpAddress | UnixAddress) -> bool:
    """Whether a former master's socket is where `address` says."""
    real = real_address(listener.socket)
    if isinstance(real, UnixAddress):
        if real != address:
            return False
        try:
            return real.abstract or stat.S_ISSOCK(_lstat(real.path).st_mode)
        except OSError:
            return False  # its file is gone: nobody would find it
    if isinstance(address, UnixAddress) or address.port not in (0, real.port):
        return False
    try:
        return any(where[0] == real.host for _, where in resolve(address))
    except OSError:
        return False


def _made(address: Address, backlog: int, options: BindOptions) -> Listener:
    if not isinstance(address, FdAddress):
        return bind(address, backlog, options)
    if address.fd is None:
        why = "systemd passed no socket of that name; see FileDescriptorName= in systemd.socket(5), or restart Ostler"
        raise BindError(sentence(address, why))
    sock = adopt(address.fd, f"bind: cannot listen on {address}", backlog)
    return Listener(sock, real_address(sock), origin=Origin(address.fd))


def _take_back(listener: Listener) -> None:
    if listener.origin is not None:
        release(listener.socket, listener.origin)
        return
    listener.unlink()
    listener.close()


def _name(sock: _socket.socket, address: Address) -> str:
    """The URL that Gunicorn would print: tools look for it."""
    if isinstance(address, UnixAddress):
        return str(address)
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if sock.family == _socket.AF_INET6 else f"http://{host}:{port}"
