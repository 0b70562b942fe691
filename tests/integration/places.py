"""Addresses of every kind, and a server whose file names them."""

import signal
import socket
import sys
import uuid
from pathlib import Path

from tests.integration.client import Address, Client
from tests.integration.harness import Server, bind_value, free_port

KINDS = ["tcp", "ipv6", "unix", "abstract"]


class Place:
    """An address that is not the server's first one: how `bind` says it, and how to get there."""

    def __init__(self, kind: str, home: Path) -> None:
        self.file: Path | None = None
        self.where: Address
        match kind:
            case "tcp":
                self.where = ("127.0.0.1", free_port())
                self.bind = bind_value(self.where)
            case "ipv6":
                self.where = ("::1", free_port())
                self.bind = f"[::1]:{self.where[1]}"
            case "unix":
                self.file = home / "other.sock"
                self.where = str(self.file)
                self.bind = f"unix:{self.file}"
            case _:
                name = f"ostler-test-{uuid.uuid4().hex}"
                self.where, self.bind = f"\0{name}", f"unix:@{name}"

    def connect(self) -> Client:
        if isinstance(self.where, str) or ":" not in self.where[0]:
            return Client(self.where)
        client = Client.__new__(Client)  # whose constructor knows IPv4 and Unix sockets
        client.socket, client.buffer, client.ended = socket.create_connection(self.where, 20), bytearray(), False
        return client

    def get(self, target: str = "/pid") -> str:
        with self.connect() as client:
            response = client.get(target)
        assert response.status == 200
        return response.text

    def refuses(self) -> bool:
        """Nobody is there at all. A connection that is made and cut would be a lost one."""
        try:
            client = self.connect()
        except (ConnectionRefusedError, ConnectionResetError, FileNotFoundError):
            return True  # reset: the listener went while the kernel was connecting, so there never was a connection
        with client:
            assert client.get("/pid").status == 200
        return False


class Bound:
    """A server whose file names its addresses; `bind` rewrites it."""

    def __init__(self, server: Server, kind: str = "sync", workers: int = 1) -> None:
        self.server = server
        self.config = server.home / "ostler.conf.py"
        self.rest = f"workers = {workers}\nworker_class = '{kind}'\nthreads = {4 if kind == 'gthread' else 1}\n"
        self.workers = workers
        self.first = bind_value(server.address)

    def write(self, *addresses: str, more: str = "") -> None:
        self.config.write_text(f"bind = {list(addresses)!r}\n{self.rest}{more}")

    def launch(self, *addresses: str, more: str = "") -> None:
        self.write(*addresses, more=more)
        self.server.launch([sys.executable, "-m", "ostler", "contract:application"], {}, self.server.home)
        self.server.wait_ready(self.workers)

    def reload(self, *addresses: str, more: str = "") -> int:
        self.write(*addresses, more=more)
        since = self.server.log_end()
        self.server.send_signal(signal.SIGHUP)
        return since
