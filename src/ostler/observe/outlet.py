"""How bytes leave through a descriptor without waiting for whoever reads them; and how a log is opened by its name.

A pipe, FIFO, terminal or socket that nobody drains makes write(2) wait, in the middle of a request. O_NONBLOCK is no
cure on the descriptor itself: it belongs to the open file description (open(2)), which a container's stdout shares
with the application's print and with every sibling. So:

- pipes and terminals get a description of our own, through /proc/self/fd/N (proc(5)), and that one is non-blocking;
- sockets (systemd's journal) are sent to with MSG_DONTWAIT (send(2));
- where neither works (no /proc, no permission) poll(2) is asked first and at most PIPE_BUF bytes follow (pipe(7)).
  A sibling may fill the pipe in between; this is the best that is left;
- regular files are written directly. They do not wait for readers, only for the disk (see sinks.py).

Rules for editing: nothing here waits. An Outlet keeps its number for life, so that a thread in the middle of a write
never writes to the number's next owner.
"""

import contextlib
import errno
import fcntl
import os
import re
import select
import socket
import stat
from collections.abc import Callable
from functools import partial
from typing import Final

from ostler import real
from ostler.errors import OstlerError, reason_of
from ostler.logline import escape

_write = real.write
_poll = real.poll
_Socket = real.Socket

_APPEND: Final = os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK  # O_NONBLOCK: a FIFO without reader must not stop us
_FILE_BATCH_BYTES: Final = 65536
_HIGH: Final = 900  # below 1024: tools look no further
_DESCRIPTOR_NAME: Final = re.compile(r"/dev/(?:(stdout)|(stderr)|fd/(\d+))|/proc/self/fd/(\d+)")

Put = Callable[[bytes], int]


class LogFileUnusable(OstlerError):
    """A log cannot be opened, reopened or rotated; the text says why and what to do. Nothing has changed then."""


class Outlet:
    """One way out. Made by `outlet_of`.

    put: takes some of the bytes, says how many. Raises BlockingIOError when it takes none now, OSError for ever.
    put_line: the same for a whole line, as one atomic write; 0 when the line is too long for that.
    fd: the descriptor written to; poll(2) tells when it takes more.
    direct: whether it is a file, which always takes what it is given.
    batch_bytes: lines that waited are put together up to this size.
    """

    __slots__ = ("_socket", "batch_bytes", "direct", "fd", "private", "put", "put_line")

    def __init__(self, fd: int, put: Put, put_line: Put, *, direct: bool = False, private: bool = False) -> None:
        self.fd = fd
        self.put = put
        self.put_line = put_line
        self.direct = direct
        self.batch_bytes = _FILE_BATCH_BYTES if direct else select.PIPE_BUF
        self.private = private  # the number is ours alone, and not that of the log
        self._socket: socket.socket | None = None

    def wait(self, timeout_s: float) -> None:
        """Until it may take more, at most that long."""
        with contextlib.suppress(OSError, ValueError):  # the descriptor is gone: whoever writes will see
            poller = _poll()
            poller.register(self.fd, select.POLLOUT)
            poller.poll(max(0, timeout_s) * 1000)

    def close(self) -> None:
        """Close the private descriptor, if there is one."""
        if self._socket is not None:
            self._socket.detach()
        if self.private:
            with contextlib.suppress(OSError):
                os.close(self.fd)
            self.private, self.fd = False, -1
        self.put = self.put_line = closed


def closed(_data: bytes) -> int:
    """The `put` of a log that was closed."""
    raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def outlet_of(fd: int, former: Outlet | None = None) -> Outlet:
    """The way out through `fd`. `former`: the one that this replaces; its private number goes on with new contents."""
    mode = _mode_of(fd)
    if former is not None and former.private:
        if mode is not None and not stat.S_ISREG(mode) and _same_file(fd, former.fd):
            return former  # perhaps it could not be opened again: the user may have changed since
        return _over(former, fd, mode)
    return _made(fd, mode)


def _made(fd: int, mode: int | None) -> Outlet:
    if mode is None or stat.S_ISREG(mode) or stat.S_ISBLK(mode):
        return _plain(fd)
    if stat.S_ISSOCK(mode):
        return _to_socket(out_of_the_way(os.dup(fd)))
    if not os.get_blocking(fd):
        return _non_blocking(fd, private=False)
    try:
        own = out_of_the_way(os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | _APPEND))
    except OSError:
        return Outlet(fd, partial(_put_when_ready, fd), _atomic(partial(_put_when_ready, fd)))
    if _same_file(own, fd):
        return _non_blocking(own, private=True)
    os.close(own)
    return Outlet(fd, partial(_put_when_ready, fd), _atomic(partial(_put_when_ready, fd)))


def _over(former: Outlet, fd: int, mode: int | None) -> Outlet:
    """What `_made` makes, moved to the private number of `former`."""
    made = _made(fd, mode)
    number = former.fd
    os.dup2(made.fd, number, inheritable=False)
    if former._socket is not None:
        former._socket.detach()
    former.private = False
    made.close()
    if mode is None or stat.S_ISREG(mode):
        replacement = _plain(number)
    elif stat.S_ISSOCK(mode):
        replacement = _to_socket(number)
    elif os.get_blocking(number):
        replacement = Outlet(number, partial(_put_when_ready, number), _atomic(partial(_put_when_ready, number)))
    else:
        replacement = _non_blocking(number, private=True)
    replacement.private = True
    return replacement


def _plain(fd: int) -> Outlet:
    put = partial(_write, fd)
    return Outlet(fd, put, put, direct=True)


def _non_blocking(fd: int, *, private: bool) -> Outlet:
    put = partial(_write, fd)
    return Outlet(fd, put, _atomic(put), private=private)


def _to_socket(number: int) -> Outlet:
    """The socket object takes the number over; `setdefaulttimeout` of an application must not change the socket."""
    blocking = os.get_blocking(number)
    sock = _Socket(fileno=number)
    if blocking and sock.gettimeout() is not None:
        sock.settimeout(None)

    def put(data: bytes) -> int:
        return sock.send(data, socket.MSG_DONTWAIT)

    outlet = Outlet(number, put, _atomic(put), private=True)
    if sock.type != socket.SOCK_STREAM:  # a message is a line
        outlet.put_line = put
        outlet.batch_bytes = 0
    outlet._socket = sock
    return outlet


def _atomic(put: Put) -> Put:
    """Lines up to PIPE_BUF are taken whole or not at all (pipe(7)). Others wait their turn, so that none is torn."""

    def put_line(data: bytes) -> int:
        return put(data) if len(data) <= select.PIPE_BUF else 0

    return put_line


def _put_when_ready(fd: int, data: bytes) -> int:
    poller = _poll()
    poller.register(fd, select.POLLOUT)
    if not poller.poll(0):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return _write(fd, data[: select.PIPE_BUF])


def put_at_once(fd: int, data: bytes) -> None:
    """Write what goes out without waiting; the rest is given up. For the console, which hears little and rarely."""
    with contextlib.suppress(OSError):  # nowhere is left to say it
        outlet = outlet_of(fd)
        try:
            outlet.put(data)
        finally:
            outlet.close()


def descriptor_named(path: str) -> int | None:
    """The number that /dev/stdout, /dev/stderr, /dev/fd/N or /proc/self/fd/N stands for; None for other paths."""
    match = _DESCRIPTOR_NAME.fullmatch(path)
    if match is None:
        return None
    stdout, stderr, *numbers = match.groups()
    return 1 if stdout else 2 if stderr else int(numbers[0] or numbers[1])


def out_of_the_way(fd: int) -> int:
    """The same under a high number, if there is one. When an application closes numbers that are not its own, its next
    files get the lowest free ones: those shall not be where we write lines.
    """
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except OSError:  # above the limit, or none is left
        return fd
    os.close(fd)
    return high


def open_to_append(path: str, owner: tuple[int, int] | None = None) -> int:
    """Open a log by its name; the descriptor is blocking and closed on exec. Raises LogFileUnusable.

    A FIFO needs no reader. A name of a descriptor also works when that is a socket or belongs to another user.
    owner: (uid, gid) for a file that is made here, as far as the system lets us.
    """
    try:
        fd = _open(path, owner)
    except OSError as error:
        number = descriptor_named(path)
        if number is None or _mode_of(number) is None:
            raise LogFileUnusable(why_unusable(error, path)) from None
        return os.dup(number)
    os.set_blocking(fd, True)  # it may become the stdout of the application, which expects no EAGAIN
    return out_of_the_way(fd)


def _open(path: str, owner: tuple[int, int] | None) -> int:
    flags = os.O_WRONLY | os.O_CREAT | _APPEND
    try:
        fd = os.open(path, flags | os.O_EXCL, 0o666)
    except FileExistsError:
        pass
    else:
        if owner is not None:
            with contextlib.suppress(OSError):
                os.fchown(fd, *owner)
        return fd
    try:
        fd = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno != errno.ENXIO:  # a FIFO that nobody reads
            raise
        return os.open(path, os.O_RDWR | _APPEND)
    if stat.S_ISFIFO(os.fstat(fd).st_mode):  # the reader may leave: then lines shall wait for the next one
        with contextlib.suppress(OSError):
            both = os.open(path, os.O_RDWR | _APPEND)
            os.close(fd)
            return both
    return fd


def why_unusable(error: OSError, path: str) -> str:
    """The system's words and what to do about them."""
    words = reason_of(error)
    match error.errno:
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{words} (uid {os.geteuid()} needs to write to the file and to search its directory)"
        case errno.ENOENT | errno.ENOTDIR:
            return f"{words} (expected a directory at {escape(os.path.dirname(path))})"
        case errno.EISDIR:
            return f"{words} (expected a file)"
        case _:
            return words


def _mode_of(fd: int) -> int | None:
    try:
        return os.fstat(fd).st_mode
    except OSError:
        return None


def _same_file(one: int, other: int) -> bool:
    try:
        return os.path.samestat(os.fstat(one), os.fstat(other))
    except OSError:
        return False
