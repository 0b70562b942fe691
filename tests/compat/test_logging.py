"""Logging to syslog, StatsD, by a configuration of logging, by a class of one's own, and rotation."""

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.compat.command import title_of, wait_serving, wait_text
from tests.compat.conftest import begin
from tests.compat.covering import covers, covers_each
from tests.compat.surface_running import METRICS
from tests.integration.harness import Server
from tests.integration.waiting import wait_until


class Datagrams:
    """A daemon that listens on UDP: what came, in order."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self._texts: list[str] = []

    def texts(self) -> list[str]:
        while True:
            try:
                self._texts.append(self.socket.recv(65536).decode(errors="replace"))
            except BlockingIOError:
                return self._texts

    def wait(self, pattern: str) -> str:
        """The first datagram in which `pattern` is found."""
        found = wait_until(lambda: [text for text in self.texts() if re.search(pattern, text)], f"{pattern!r} came")
        return found[0]


@pytest.fixture
def daemon() -> Iterator[Datagrams]:
    daemon = Datagrams()
    yield daemon
    daemon.socket.close()


@covers("setting:syslog", "setting:syslog_addr", "setting:syslog_prefix", "setting:syslog_facility")
def test_both_logs_go_to_syslog(start: Callable[..., Server], daemon: Datagrams) -> None:
    options = ["--log-syslog", "--log-syslog-to", f"udp://127.0.0.1:{daemon.port}", "--log-syslog-prefix", "shop"]
    server = start(*options, "--log-syslog-facility", "local3")
    line = daemon.wait("worker ready")
    assert line.startswith("<158>"), "local3 is 19, info is 6: 19 * 8 + 6"
    assert "gunicorn.shop.error" in line
    server.get("/bytes/3?seen")
    assert "gunicorn.shop.access" in daemon.wait(r"GET /bytes/3\?seen")


@covers("setting:disable_redirect_access_to_syslog")
def test_the_access_log_stays_out_of_syslog_when_told(start: Callable[..., Server], daemon: Datagrams) -> None:
    options = ["--log-syslog", "--log-syslog-to", f"udp://127.0.0.1:{daemon.port}"]
    server = start(*options, "--disable-redirect-access-to-syslog")
    server.get("/bytes/3?seen")
    server.get("/log")
    daemon.wait("an exception line")
    assert not [text for text in daemon.texts() if "seen" in text]


@covers("setting:statsd_host", "setting:statsd_prefix", "setting:dogstatsd_tags", "setting:enable_backlog_metric")
@covers_each(METRICS)
def test_metrics_go_to_statsd(start: Callable[..., Server], daemon: Datagrams) -> None:
    options = ["--statsd-host", f"127.0.0.1:{daemon.port}", "--statsd-prefix", "shop", "--dogstatsd-tags", "env:test"]
    server = start(*options, "--enable-backlog-metric")
    assert "master [compat_app:application]" in title_of(server.master), "without proc_name"
    server.get("/log")
    for metric, value in (
        ("requests", r"1\|c\|@1\.0"),
        ("request.status.200", r"1\|c\|@1\.0"),
        ("request.duration", r"\d+\.\d+\|ms"),
        ("workers", r"1\|g"),
        ("backlog", r"\d+\|h"),
        ("log.critical", r"1\|c\|@1\.0"),
        ("log.error", r"1\|c\|@1\.0"),
        ("log.warning", r"1\|c\|@1\.0"),
        ("log.exception", r"1\|c\|@1\.0"),
    ):
        daemon.wait(rf"(?m)^shop\.gunicorn\.{re.escape(metric)}:{value}\|#env:test$")
    daemon.wait(r"(?m)^shop\.own\.metric:7\|g\|#env:test$")


INI = """
[loggers]
keys=root,gunicorn.error,gunicorn.access
[handlers]
keys=own
[formatters]
keys=own
[logger_root]
level=INFO
handlers=own
[logger_gunicorn.error]
level=INFO
handlers=own
propagate=0
qualname=gunicorn.error
[logger_gunicorn.access]
level=INFO
handlers=own
propagate=0
qualname=gunicorn.access
[handler_own]
class=FileHandler
formatter=own
args=("HOME/own.log",)
[formatter_own]
format=own %(name)s %(message)s
"""
DICT = """{
    "version": 1,
    "disable_existing_loggers": false,
    "formatters": {"own": {"format": "own %(name)s %(message)s"}},
    "handlers": {"own": {"class": "logging.FileHandler", "formatter": "own", "filename": "HOME/own.log"}},
    "root": {"level": "INFO", "handlers": ["own"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": ["own"], "propagate": false},
        "gunicorn.access": {"level": "INFO", "handlers": ["own"], "propagate": false}
    }
}"""
FORMATTER = """
import json, logging

class Atoms(logging.Formatter):
    def format(self, record):
        if record.name != "gunicorn.access":
            return "error " + record.getMessage()
        return "atoms " + json.dumps({name: record.args[name] for name in ("h", "m", "U", "s", "M")})
"""


def shown_in_own_log(server: Server) -> str:
    wait_serving(server, "/bytes/3?seen")
    path: Path = server.home / "own.log"
    return wait_text(path, lambda text: "worker ready" in text and "/bytes/3" in text, "has both logs")


@covers("setting:logconfig")
def test_logconfig_is_a_file_of_logging(start: Callable[..., Server]) -> None:
    server = start("--log-config", "HOME/logging.ini", files={"logging.ini": INI}, ready=0)
    text = shown_in_own_log(server)
    assert "own gunicorn.error " in text
    assert "own gunicorn.access " in text


@covers("setting:logconfig_json")
def test_logconfig_json_is_a_file_of_logging(start: Callable[..., Server]) -> None:
    server = start("--log-config-json", "HOME/logging.json", files={"logging.json": DICT}, ready=0)
    assert "own gunicorn.access " in shown_in_own_log(server)


@covers("setting:logconfig_dict", "atom:record.args")
def test_logconfig_dict_may_have_a_formatter_that_reads_the_atoms(start: Callable[..., Server]) -> None:
    own = DICT.replace("false", "False").replace('{"format": "own %(name)s %(message)s"}', '{"()": "formatter.Atoms"}')
    server = start(config=f"logconfig_dict = {own}\n", files={"formatter.py": FORMATTER}, ready=0)
    text = shown_in_own_log(server)
    assert re.search(r'(?m)^atoms \{"h": "127\.0\.0\.1", "m": "GET", "U": "/bytes/3", "s": "200", "M": \d+\}$', text)


@covers("setting:logger_class")
def test_logger_class_of_the_operator_decides_what_is_logged(start: Callable[..., Server]) -> None:
    config = """
from gunicorn.glogging import Logger

class Quiet(Logger):
    def setup(self, cfg):
        super().setup(cfg)
        self.error_log.info("set up by a class of ours for %s", cfg.bind)

    def access(self, resp, req, environ, request_time):
        if environ["PATH_INFO"] != "/health":
            super().access(resp, req, environ, request_time)

logger_class = Quiet
accesslog = "HOME/access.log"
"""
    server = start(config=config)
    server.wait_log("set up by a class of ours")
    for target in ("/health", "/bytes/3"):
        server.get(target)
    text = wait_text(server.home / "access.log", lambda text: "/bytes/3" in text, "has the request")
    assert "/health" not in text


@covers("setting:log_rotate_size", "setting:log_rotate_keep")
def test_logs_are_rotated_by_size_and_the_oldest_go(start: Callable[..., Server]) -> None:
    server = start("--access-logfile", "HOME/access.log", "--log-rotate-size", "2K", "--log-rotate-keep", "1")
    youngest = server.home / "access.log.1"

    def rotated(seen: int) -> int:
        """The inode of the youngest of the old logs, once it is not `seen`."""
        for _ in range(20):
            assert client.get("/bytes/3?" + "x" * 100).status == 200
        inode = youngest.stat().st_ino if youngest.exists() else seen
        return inode if inode != seen else 0

    with server.client() as client:
        first = wait_until(lambda: rotated(0), "the log is rotated")
        wait_until(lambda: rotated(first), "and again")
    wait_until(lambda: len(list(server.home.glob("access.log*"))) == 2, "the oldest is gone")
    assert youngest.stat().st_size >= 2048


@covers("setting:log_rotate_interval")
def test_logs_are_rotated_by_time(make_server: Callable[..., Server]) -> None:
    server = make_server()
    log = server.home / "access.log"
    log.write_text("of an earlier day\n")
    two_days_ago = time.time() - 2 * 86400
    os.utime(log, (two_days_ago, two_days_ago))
    begin(server, "--access-logfile", "HOME/access.log", "--log-rotate-interval", "daily")
    server.wait_ready(1)
    wait_text(server.home / "access.log.1", lambda text: text.startswith("of an earlier day"), "is the old log")
    server.get("/bytes/3?today")
    assert "earlier" not in wait_text(log, lambda text: "today" in text, "is the new one")
