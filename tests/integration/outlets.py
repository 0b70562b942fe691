"""Where a log can be led to that nobody reads: a pipe, a socket as systemd's journal has it, a daemon of syslog."""

import contextlib
import fcntl
import os
import re
import socket
import sys
from pathlib import Path

LOST = re.compile(r"log lines dropped .*?\blines=(\d+)")
CONNECTED = (
    "import os, socket, sys\n"
    "end = socket.socket(socket.AF_UNIX)\n"
    "end.connect(sys.argv[1])\n"
    "os.dup2(end.fileno(), int(sys.argv[2]))\n"
    "os.execv(sys.argv[3], sys.argv[3:])\n"
)


class PipeOutlet:
    """A pipe of 4 KiB with our end open: a program's descriptor that `prefix` leads there."""

    def __init__(self, directory: Path, name: str = "pipe") -> None:
        self.path = directory / name
        os.mkfifo(self.path)
        self.reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(self.reader, fcntl.F_SETPIPE_SZ, 4096)
        self.data = b""

    def prefix(self, number: int) -> list[str]:
        return ["sh", "-c", f'exec "$@" {number}>"{self.path}"', "sh"]

    def text(self) -> str:
        """All that has come so far."""
        with contextlib.suppress(BlockingIOError):
            while block := os.read(self.reader, 65536):
                self.data += block
        return self.data.decode()

    def close(self) -> None:
        os.close(self.reader)


class SocketOutlet:
    """A stream socket instead."""

    def __init__(self, directory: Path, name: str = "journal") -> None:
        self.path = directory / name
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(str(self.path))
        self.door.listen()
        self.connection: socket.socket | None = None
        self.data = b""

    def prefix(self, number: int) -> list[str]:
        return [sys.executable, "-c", CONNECTED, str(self.path), str(number)]

    def text(self) -> str:
        """All that has come so far."""
        if self.connection is None:
            self.connection = self.door.accept()[0]
            self.connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while block := self.connection.recv(65536):
                self.data += block
        return self.data.decode()

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.door.close()


class TcpDaemon:
    """A daemon of syslog over TCP; every process of the server has a connection of its own."""

    def __init__(self, port: int) -> None:
        self.door = socket.create_server(("127.0.0.1", port))
        self.door.setblocking(False)
        self.data: dict[socket.socket, bytes] = {}

    def text(self) -> str:
        """All that has come so far, one line for each message."""
        with contextlib.suppress(BlockingIOError):
            while True:
                connection = self.door.accept()[0]
                connection.setblocking(False)
                self.data[connection] = b""
        for connection in self.data:
            with contextlib.suppress(BlockingIOError):
                while block := connection.recv(65536):
                    self.data[connection] += block
        return b"".join(self.data.values()).decode()

    def close(self) -> None:
        for connection in self.data:
            connection.close()
        self.door.close()


def lines_lost(text: str) -> int:
    """The number of lines that a log says it has lost."""
    return sum(int(number) for number in LOST.findall(text))
