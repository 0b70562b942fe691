"""HAProxy in front: a child process with a configuration of its own."""

import csv
import socket
import subprocess
import tempfile
from pathlib import Path

from tests.integration.client import Address
from tests.integration.harness import bind_value, free_port
from tests.integration.proxy import ProxyProcess, find_tool
from tests.integration.waiting import wait_until

CONFIG = """
global
    stats socket {home}/stats level admin
    maxconn 500
defaults
    mode {mode}
    timeout connect 5s
    timeout client 20s
    timeout server 20s
    retries 0
frontend clients
    bind 127.0.0.1:{port} {bind}
    {frontend}
    default_backend servers
backend servers
    {backend}
    server ostler {upstream} {server}
"""


class HAProxy(ProxyProcess):
    """One HAProxy with one upstream.

    `server` and `bind` follow the addresses of the two: send-proxy-v2, ssl crt ...; `frontend` and `backend` are lines
    of the two sections.
    """

    def __init__(
        self,
        upstream: Address,
        server: str = "",
        mode: str = "http",
        *,
        bind: str = "",
        frontend: str = "",
        backend: str = "",
    ) -> None:
        program = find_tool("haproxy")
        self.home = Path(tempfile.mkdtemp(prefix="ostler-haproxy-"))
        self.address = ("127.0.0.1", free_port())
        where = f"unix@{upstream}" if isinstance(upstream, str) else bind_value(upstream)
        (self.home / "config").write_text(
            CONFIG.format(
                home=self.home,
                mode=mode,
                port=self.address[1],
                bind=bind,
                frontend=frontend,
                backend=backend,
                upstream=where,
                server=server,
            )
        )
        self.log_path = self.home / "log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [program, "-db", "-f", str(self.home / "config")], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self.listening, "haproxy listens")

    def listening(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"haproxy ended with {self.process.returncode}: {self.log_path.read_text()}")
        with socket.socket(socket.AF_UNIX) as stats, socket.socket() as clients:
            return stats.connect_ex(str(self.home / "stats")) == 0 and clients.connect_ex(self.address) == 0

    def check(self) -> dict[str, str]:
        """What its last health check of the server found: check_status, status, chkfail, ..."""
        with socket.socket(socket.AF_UNIX) as stats:
            stats.connect(str(self.home / "stats"))
            stats.sendall(b"show stat\n")
            data = b""
            while block := stats.recv(65536):
                data += block
        rows = list(csv.DictReader(data.decode().removeprefix("# ").splitlines()))
        return next(row for row in rows if row["svname"] == "ostler")
