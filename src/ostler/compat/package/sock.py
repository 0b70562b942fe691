"""`gunicorn.sock`: listening sockets and TLS as other projects make them, by themselves, from a cfg.

The server's own listeners are made elsewhere (process/listeners.py); what workers and hooks see of these are
`ListenerView`s (compat/worker_view.py), which have the same names.

Rules for editing: what is here does what Gunicorn's of that name does, errors included.
"""

import errno
import logging
import os
import socket
import ssl
import stat
import struct
import sys
import time
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from ostler.compat.package import util
from ostler.observe.hooks import call_ssl_context
from ostler.observe.records import ERROR_LOGGER
from ostler.process.certificates import Certificates

_TRIES: Final = 5
_PAUSE_S: Final = 1.0
_UNACKED: Final = struct.Struct("8B24I")
_UNACKED_AT: Final = 12  # tcpi_unacked of a listening socket: who waits to be accepted (tcp(7))


class BaseSocket:
    """A socket that listens where `address` says, or `fd` that is bound already (and is taken over)."""

    FAMILY: ClassVar[int]

    def __init__(self, address: Any, conf: Any, log: Any, fd: int | None = None) -> None:
        """conf: a cfg. Raises OSError."""
        self.log = log
        self.conf = conf
        self.cfg_addr = address
        if fd is None:
            made = socket.socket(self.FAMILY, socket.SOCK_STREAM)
        else:
            made = socket.fromfd(fd, self.FAMILY, socket.SOCK_STREAM)
            os.close(fd)
        try:
            self.sock: Any = self.set_options(made, bound=fd is not None)
        except BaseException:
            made.close()
            raise

    def __str__(self) -> str:
        return f"<socket {self.sock.fileno()}>"

    def __getattr__(self, name: str) -> Any:
        if name == "sock":
            raise AttributeError(name)
        return getattr(self.sock, name)

    def set_options(self, sock: Any, bound: bool = False) -> Any:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.conf.reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if not bound:
            self.bind(sock)
        sock.setblocking(False)
        sock.set_inheritable(True)
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            sock.listen(self.conf.backlog)
        return sock

    def bind(self, sock: Any) -> None:
        sock.bind(self.cfg_addr)

    def close(self) -> None:
        if self.sock is not None:
            util.close(self.sock)
            self.sock = None

    def get_backlog(self) -> int:
        """How many clients wait to be accepted; -1: not known."""
        return -1


class TCPSocket(BaseSocket):
    FAMILY = socket.AF_INET

    def __str__(self) -> str:
        host, port = self.sock.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self.conf.is_ssl else 'http'}://{shown}:{port}"

    def set_options(self, sock: Any, bound: bool = False) -> Any:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return super().set_options(sock, bound=bound)

    def get_backlog(self) -> int:
        if sys.platform != "linux":
            return -1
        try:
            found = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACKED.size)
        except (AttributeError, OSError):
            return 0
        waiting: int = _UNACKED.unpack(found)[_UNACKED_AT]
        return waiting


class TCP6Socket(TCPSocket):
    FAMILY = socket.AF_INET6


class UnixSocket(BaseSocket):
    FAMILY = socket.AF_UNIX

    def __init__(self, addr: str, conf: Any, log: Any, fd: int | None = None) -> None:
        """A socket file that is there already is removed. Raises ValueError for another kind of file."""
        if fd is None and not addr.startswith("\0"):
            try:
                found = os.stat(addr)
            except FileNotFoundError:
                pass
            else:
                if not stat.S_ISSOCK(found.st_mode):
                    raise ValueError(f"{addr!r} is not a socket")
                os.remove(addr)
        super().__init__(addr, conf, log, fd=fd)

    def __str__(self) -> str:
        return f"unix:{self.cfg_addr}"

    def bind(self, sock: Any) -> None:
        before = os.umask(self.conf.umask)
        try:
            sock.bind(self.cfg_addr)
        finally:
            os.umask(before)
        if not self.cfg_addr.startswith("\0"):
            util.chown(self.cfg_addr, self.conf.uid, self.conf.gid)


def _sock_type(addr: Any) -> type[BaseSocket]:
    if isinstance(addr, tuple):
        return TCP6Socket if util.is_ipv6(addr[0]) else TCPSocket
    if isinstance(addr, str | bytes):
        return UnixSocket
    raise TypeError(f"Unable to create socket from: {addr!r}")


def create_sockets(conf: Any, log: Any, fds: Sequence[int] | None = None) -> list[BaseSocket]:
    """One for each entry of conf.address, or for each descriptor. SystemExit with status 1 if one cannot be bound."""
    bound = [address for address in conf.address if isinstance(address, int)] + list(fds or ())
    found: list[BaseSocket] = []
    for fd in bound:
        with socket.socket(fileno=os.dup(fd)) as sock:
            name = sock.getsockname()
        found.append(_sock_type(name)(name, conf, log, fd=fd))
    if not bound:
        found = [_bound(address, conf, log) for address in conf.address]
    return found


def _bound(address: Any, conf: Any, log: Any) -> BaseSocket:
    for attempt in range(1, _TRIES + 1):
        try:
            return _sock_type(address)(address, conf, log)
        except OSError as error:
            log.error("connection to %s failed: %s", address, error)
            if error.errno != errno.EADDRINUSE or attempt == _TRIES:
                break
            time.sleep(_PAUSE_S)
    log.error("Can't connect to %s", address)
    raise SystemExit(1)


def close_sockets(listeners: Sequence[Any], unlink: bool = True) -> None:
    for listener in listeners:
        name = listener.getsockname()
        listener.close()
        if unlink and _sock_type(name) is UnixSocket and not name.startswith("\0"):
            os.unlink(name)


def ssl_context(conf: Any) -> ssl.SSLContext:
    """As the server makes it, the hook included. Raises ConfigError."""
    hook = conf.of_settings.hooks.ssl_context
    made = Certificates(
        conf.of_settings,
        None
        if hook is None
        else lambda factory: call_ssl_context(hook, conf, factory, logging.getLogger(ERROR_LOGGER)),
    )
    return made.context


def ssl_wrap_socket(sock: socket.socket, conf: Any) -> ssl.SSLSocket:
    return ssl_context(conf).wrap_socket(
        sock,
        server_side=True,
        suppress_ragged_eofs=conf.suppress_ragged_eofs,
        do_handshake_on_connect=conf.do_handshake_on_connect,
    )
