"""How long the queue of a listening socket is: connections that nobody has accepted yet, and how many it may hold.

TCP says it in TCP_INFO (tcp(7)): of a listener, `tcpi_unacked` is the queue and `tcpi_sacked` its limit. Of a Unix
socket sock_diag(7) says it: a question to the kernel by the socket's inode. Other systems say neither.

`waited_s` is the other end of it: how long the bytes of a connection have been lying in the kernel.

Rules for editing: nothing here waits or raises; what the system does not tell is None (or 0.0 seconds).
"""

import os
import socket as _socket
import struct
import sys
from typing import Final

from ostler import real

_LINUX: Final = sys.platform == "linux"
_TCP: Final = _socket.IPPROTO_TCP
_INFO: Final = getattr(_socket, "TCP_INFO", 0)

# struct tcp_info: 8 bytes, then words of 4.
_UNACKED: Final = 24
_LAST_DATA_RECEIVED: Final = 52
"""Milliseconds since the last segment with data; of a connection that has sent none, since it was opened."""
_word = struct.Struct("=I").unpack_from
_two_words = struct.Struct("=II").unpack_from

_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_NLM_F_REQUEST: Final = 1
_LISTENING: Final = 1 << 10
_SHOW_QUEUE: Final = 0x10
_ANSWER_QUEUE: Final = 4
_HEADER: Final = struct.Struct("=IHHII")
_REQUEST: Final = struct.Struct("=BBHIIIII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_MESSAGE_BYTES: Final = 16  # struct unix_diag_msg
_ANSWER_BYTES: Final = 4096
_NO_COOKIE: Final = 0xFFFFFFFF

_NETSTAT: Final = "/proc/net/netstat"

_fstat = os.fstat

Queue = tuple[int, int]
"""Connections that wait, and how many may."""


def of_tcp(sock: _socket.socket) -> Queue | None:
    """Of a listening TCP socket."""
    if not _LINUX:
        return None
    try:
        waiting, backlog = _two_words(sock.getsockopt(_TCP, _INFO, _UNACKED + 8), _UNACKED)
    except (OSError, struct.error):
        return None
    return waiting, backlog


def of_unix(sock: _socket.socket) -> Queue | None:
    """Of a listening Unix socket. Costs some 30 µs: no descriptor is kept, for processes that are forked meanwhile."""
    if not _LINUX:
        return None
    try:
        kind = _socket.SOCK_RAW | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
        with real.Socket(_socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG) as netlink:
            return _ask(netlink, _fstat(sock.fileno()).st_ino)
    except (OSError, struct.error):
        return None  # a sandbox without netlink, a kernel without unix_diag


def _ask(netlink: _socket.socket, inode: int) -> Queue | None:
    request = _REQUEST.pack(_socket.AF_UNIX, 0, 0, _LISTENING, inode, _SHOW_QUEUE, _NO_COOKIE, _NO_COOKIE)
    size = _HEADER.size + len(request)
    netlink.send(_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0) + request)
    answer = netlink.recv(_ANSWER_BYTES)  # the kernel has answered before send(2) came back
    if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        return None  # an error: there is no such socket
    return _queue_of(answer[_HEADER.size + _MESSAGE_BYTES :])


def _queue_of(attributes: bytes) -> Queue | None:
    at = 0
    while at + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, at)
        if kind == _ANSWER_QUEUE:
            waiting, backlog = _two_words(attributes, at + _ATTRIBUTE.size)
            return waiting, backlog
        at += max(_ATTRIBUTE.size, (length + 3) & ~3)
    return None


def waited_s(sock: _socket.socket) -> float:
    """How long ago a TCP connection got its last data; 0.0 where the system does not say. Costs 0.7 µs."""
    if not _LINUX or sock.family == _socket.AF_UNIX:
        return 0.0
    try:
        return float(_word(sock.getsockopt(_TCP, _INFO, _LAST_DATA_RECEIVED + 4), _LAST_DATA_RECEIVED)[0]) / 1000
    except (OSError, struct.error):
        return 0.0


def overflows() -> int | None:
    """How many TCP connections were turned away so far in our network namespace, because a listen queue was full
    (ListenOverflows of netstat(8)); None: the system does not tell.
    """
    try:
        with open(_NETSTAT, encoding="ascii") as file:
            names, values = (line.split() for line in (next(file), next(file)))
        return int(values[names.index("ListenOverflows")])
    except (OSError, ValueError, IndexError, StopIteration):
        return None
