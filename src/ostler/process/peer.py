"""Who is at the other end of a Unix socket: SO_PEERCRED of unix(7), LOCAL_PEERCRED and LOCAL_PEERPID of macOS.

The kernel says it, not the peer: of a client what it was when it connected, of a server what it was when it began to
listen.

Rules for editing: no policy.
"""

import os
import socket as _socket
import struct
import sys
from dataclasses import dataclass
from typing import Final

_LINUX: Final = struct.Struct("3i")  # struct ucred
_DARWIN: Final = struct.Struct("IIh2x16I")  # struct xucred
_SOL_LOCAL: Final = 0
_LOCAL_PEERCRED: Final = 1
_LOCAL_PEERPID: Final = 2

_geteuid = os.geteuid


@dataclass(frozen=True, slots=True)
class Peer:
    """pid: as this process sees it; 0 when it cannot see it (another pid namespace)."""

    pid: int
    uid: int

    @property
    def may_control(self) -> bool:
        """Whether it is root, or who we are."""
        return self.uid in (0, _geteuid())


def peer_of(sock: _socket.socket) -> Peer:
    """Raises OSError when the system does not tell."""
    if sys.platform == "darwin":
        credentials = sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _DARWIN.size)
        (pid,) = struct.unpack("i", sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID, 4))
        return Peer(pid, _DARWIN.unpack(credentials)[1])
    pid, uid, _gid = _LINUX.unpack(sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _LINUX.size))
    return Peer(pid, uid)
