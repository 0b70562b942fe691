"""Sockets that a server is started with: the test holds them too, as systemd would."""

import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.integration.client import Address

# Takes descriptors from the test (SCM_RIGHTS), puts them at 3, 4, ..., and becomes the server.
_OPENER = """
import fcntl, os, socket, sys
path, count, names, *command = sys.argv[1:]
with socket.socket(socket.AF_UNIX) as giver:
    giver.connect(path)
    fds = socket.recv_fds(giver, 1, int(count))[1]
fds = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]
for number, fd in enumerate(fds, 3):
    os.dup2(fd, number)
    os.close(fd)
if names:
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=count, LISTEN_FDNAMES=names)
os.execvp(command[0], command)
"""


class Given:
    """`with Given() as given:` has listening sockets; server.start(..., prefix=given.prefix); given.hand_over().

    names: systemd's; empty: the server is told nothing of them. Even ones are TCP, odd ones Unix sockets.
    """

    def __init__(self, count: int = 1, names: Sequence[str] = ()) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="given-")
        self.names = names
        self.sockets: list[socket.socket] = []
        for number in range(count):
            sock = socket.socket(socket.AF_UNIX if number % 2 else socket.AF_INET)
            self.sockets.append(sock)
            sock.bind(str(Path(self.directory.name, str(number))) if number % 2 else ("127.0.0.1", 0))
            sock.listen(2048)
        self.giver = socket.socket(socket.AF_UNIX)
        self.giver.bind(f"{self.directory.name}/giver")
        self.giver.listen()
        self.giver.settimeout(10)

    def __enter__(self) -> "Given":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sock in (*self.sockets, self.giver):
            sock.close()
        self.directory.cleanup()

    @property
    def prefix(self) -> list[str]:
        names = ":".join(self.names)
        return [sys.executable, "-c", _OPENER, f"{self.directory.name}/giver", str(len(self.sockets)), names]

    @property
    def addresses(self) -> list[Address]:
        return [sock.getsockname() for sock in self.sockets]

    def hand_over(self) -> None:
        """To the server that was just started with the prefix."""
        connection, _ = self.giver.accept()
        with connection:
            socket.send_fds(connection, [b"+"], [sock.fileno() for sock in self.sockets])

    def still_listen(self) -> bool:
        return all(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for sock in self.sockets)

    def files(self) -> set[str]:
        return {name for name in os.listdir(self.directory.name) if name != "giver"}
