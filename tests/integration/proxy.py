"""Nginx as people put it in front: a child process with its own configuration, keep-alive to the server."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

import pytest

from tests.integration.client import Address
from tests.integration.harness import ROOT, bind_value, free_port
from tests.integration.processes import kill
from tests.integration.waiting import wait_until

# The page how-to/nginx.md shows this file; the tests run it with their own addresses.
SITE = ROOT / "docs" / "how-to" / "nginx.conf"
CONFIG = """
{modules}
daemon off;
{user}
pid {home}/nginx.pid;
error_log {home}/error.log info;
worker_processes 1;
events {{ worker_connections 512; }}
{blocks}
"""
HTTP = """
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    # A lost request is to be seen, not mended.
    proxy_next_upstream off;
    include {home}/site.conf;
}}
"""
STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
STREAM = """
stream {{
    server {{
        listen 127.0.0.1:{port};
        proxy_pass {upstream};
        {more}
    }}
}}
"""


def site(upstream: Address, port: int) -> str:
    """The documented site, on the test's addresses."""
    text = SITE.read_text()
    for documented, ours in (("unix:/run/ostler/http.sock", bind_value(upstream)), ("80", f"127.0.0.1:{port}")):
        directive = "server" if documented.startswith("unix") else "listen"
        assert text.count(f"{directive} {documented};") == 1, f"{SITE} has no {directive} {documented}"
        text = text.replace(f"{directive} {documented};", f"{directive} {ours};")
    return text


def uwsgi_site(upstream: Address, port: int, more: str = "") -> str:
    """A site that passes requests on by uwsgi_pass, with the parameters of Debian's uwsgi_params."""
    params = {
        "QUERY_STRING": "$query_string",
        "REQUEST_METHOD": "$request_method",
        "CONTENT_TYPE": "$content_type",
        "CONTENT_LENGTH": "$content_length",
        "REQUEST_URI": "$request_uri",
        "PATH_INFO": "$document_uri",
        "DOCUMENT_ROOT": "$document_root",
        "SERVER_PROTOCOL": "$server_protocol",
        "REQUEST_SCHEME": "$scheme",
        "HTTPS": "$https if_not_empty",
        "REMOTE_ADDR": "$remote_addr",
        "REMOTE_PORT": "$remote_port",
        "SERVER_PORT": "$server_port",
        "SERVER_NAME": "$server_name",
    }
    lines = "".join(f"uwsgi_param {name} {value};\n" for name, value in params.items())
    return (
        f"server {{ listen 127.0.0.1:{port}; server_name here.example; client_max_body_size 100m;\n"
        f"location / {{ uwsgi_pass {bind_value(upstream)}; uwsgi_next_upstream off;\n{lines}{more} }} }}\n"
    )


def find_tool(name: str) -> str:
    """The path of a program that tests need. Missing: a failure on CI, a skip that says why elsewhere."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
    if path is None:
        missing(f"{name} is not installed (.ci/run installs it)")
    return path


def missing(message: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def stream_module() -> Path:
    if not STREAM_MODULE.exists():
        missing(f"{STREAM_MODULE} is not installed (.ci/run installs it)")
    return STREAM_MODULE


class ProxyProcess:
    """A program that stands before the server, and its directory; both end with the block."""

    home: Path
    process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        kill(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        finally:
            kill(self.process.pid)
            self.process.wait(10)
            shutil.rmtree(self.home, ignore_errors=True)


class Nginx(ProxyProcess):
    """One Nginx with one upstream. Over TCP to clients; TCP or Unix to the server.

    `make_site` writes the http server's part, as `site` and `uwsgi_site` do. `stream`: directives of a stream server
    instead, which passes bytes on.
    """

    def __init__(
        self, upstream: Address, make_site: Callable[[Address, int], str] = site, stream: str | None = None
    ) -> None:
        program = find_tool("nginx")
        self.home = Path(tempfile.mkdtemp(prefix="ostler-nginx-"))
        self.address = ("127.0.0.1", free_port())
        # Root's Nginx would run its worker as nobody, who may not enter the directories of tests.
        user = "user root;" if os.geteuid() == 0 else ""
        if stream is None:
            modules, blocks = "", HTTP.format(home=self.home)
            (self.home / "site.conf").write_text(make_site(upstream, self.address[1]))
        else:
            modules = f"load_module {stream_module()};"
            blocks = STREAM.format(port=self.address[1], upstream=bind_value(upstream), more=stream)
        (self.home / "nginx.conf").write_text(
            CONFIG.format(user=user, home=self.home, modules=modules, blocks=blocks)
        )
        self.process = subprocess.Popen(
            [program, "-p", str(self.home), "-e", str(self.home / "error.log"), "-c", str(self.home / "nginx.conf")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self.listening, "nginx listens")

    def listening(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"nginx ended with {self.process.returncode}: {self.error_log()}")
        with socket.socket() as probe:
            return probe.connect_ex(self.address) == 0

    def error_log(self) -> str:
        path = self.home / "error.log"
        return path.read_text(errors="replace") if path.exists() else ""
