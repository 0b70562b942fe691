"""The look-alike beside gunicorn.instrument.statsd.Statsd: the same calls, the same datagrams."""

import datetime
import logging
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gunicorn.config
import gunicorn.instrument.statsd
import pytest

from ostler.compat import statsd as compat
from ostler.compat.statsd import Statsd
from ostler.config.address import StatsdAddress
from ostler.observe.remote import Wiring
from ostler.observe.statsd import LogMetrics
from ostler.observe.statsd import Statsd as Daemon
from tests.unit.observe.remotes import HOST, Desk, port_of, received, udp_server, wait_until

CONSTANTS = ["METRIC_VAR", "VALUE_VAR", "MTYPE_VAR", "GAUGE_TYPE", "COUNTER_TYPE", "HISTOGRAM_TYPE", "TIMER_TYPE"]


@pytest.fixture(autouse=True)
def loggers_are_left_as_they_were() -> Iterator[None]:
    found = [logging.getLogger(name) for name in ("gunicorn.error", "gunicorn.access")]
    states = [(logger.handlers[:], logger.filters[:], logger.level, logger.propagate) for logger in found]
    yield
    for logger, (handlers, filters, level, propagate) in zip(found, states, strict=True):
        logger.handlers[:], logger.filters[:], logger.propagate = handlers, filters, propagate
        logger.setLevel(level)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with udp_server() as server:
        yield server


@pytest.fixture
def made(tmp_path: Path) -> Iterator[list[Any]]:
    made: list[Any] = []
    yield made
    for logger in made:
        if isinstance(logger.sock, compat.StatsdSocket | socket.socket):
            logger.sock.close()
        for handler in logger.error_log.handlers:
            handler.close()


def settings(port: int, tmp_path: Path, tags: str = "env:prod") -> Any:
    config = gunicorn.config.Config()
    for name, value in {
        "statsd_host": f"{HOST}:{port}",
        "statsd_prefix": "shop",
        "dogstatsd_tags": tags,
        "errorlog": str(tmp_path / "error.log"),
    }.items():
        config.set(name, value)
    return config


def use(logger: Any) -> None:
    """Everything that Gunicorn's can do."""
    logger.gauge("g", 1)
    logger.increment("c", 2)
    logger.increment("c", 2, sampling_rate=0.5)
    logger.decrement("c", 3, 0.1)
    logger.timer("t", 1.5)
    logger.histogram("h", 2)
    logger.critical("critical %s", 1)
    logger.error("error")
    logger.warning("warning")
    try:
        raise ValueError("on purpose")
    except ValueError:
        logger.exception("exception")
    for kind in ("gauge", "counter", "histogram", "timer", "nonsense"):
        logger.info("said too", extra={"metric": "m", "value": 0, "mtype": kind})
        logger.debug("", extra={"metric": "m", "value": "7", "mtype": kind})
    logger.log("info", "by name", extra={"metric": "m", "value": None, "mtype": "gauge"})
    for status in ("200 OK", b"404 Not Found", 500):
        response = SimpleNamespace(status=status, headers=[], sent=3)
        logger.access(response, [], {}, datetime.timedelta(seconds=2, microseconds=345678))


@pytest.mark.parametrize("tags", ["", "env:prod,tier:web"])
def test_datagrams_and_log_are_gunicorns(server: socket.socket, tmp_path: Path, tags: str, made: list[Any]) -> None:
    config = settings(port_of(server), tmp_path, tags)
    told = []
    for kind in (gunicorn.instrument.statsd.Statsd, Statsd):
        (tmp_path / "error.log").write_text("")
        logger = kind(config)
        made.append(logger)
        use(logger)
        logger.gauge("end", 0)
        datagrams = [server.recv(65536)]
        while not datagrams[-1].startswith(b"shop.end"):
            datagrams.append(server.recv(65536))
        lines = (tmp_path / "error.log").read_text().splitlines()
        told.append((datagrams, [line.partition("] [")[2].partition("] ")[2] for line in lines if line[:1] == "["]))
        for handler in logger.error_log.handlers:
            handler.close()
    assert told[0] == told[1]
    assert len(told[1][0]) == 6 + 4 + 8 + 9 + 1


def test_names_are_gunicorns() -> None:
    for name in CONSTANTS:
        assert getattr(compat, name) == getattr(gunicorn.instrument.statsd, name)
    assert {name for name in vars(gunicorn.instrument.statsd.Statsd) if not name.startswith("__")} <= set(vars(Statsd))


def test_a_subclass_may_override_anything(server: socket.socket, tmp_path: Path, made: list[Any]) -> None:
    class Mine(Statsd):
        def access(self, resp: Any, req: Any, environ: Any, request_time: datetime.timedelta) -> None:
            if environ["PATH_INFO"] != "/health":
                super().access(resp, req, environ, request_time)

        def increment(self, name: str, value: object, sampling_rate: float = 1.0) -> None:
            super().increment(f"mine.{name}", value, sampling_rate)

    logger = Mine(settings(port_of(server), tmp_path, ""))
    made.append(logger)
    response = SimpleNamespace(status="200 OK", headers=[], sent=3)
    logger.access(response, [], {"PATH_INFO": "/health"}, datetime.timedelta(0))
    logger.access(response, [], {"PATH_INFO": "/"}, datetime.timedelta(0))
    assert received(server, 3) == [
        b"shop.gunicorn.request.duration:0.0|ms",
        b"shop.mine.gunicorn.requests:1|c|@1.0",
        b"shop.mine.gunicorn.request.status.200:1|c|@1.0",
    ]


def test_the_socket_may_be_replaced_and_may_fail(server: socket.socket, tmp_path: Path, made: list[Any]) -> None:
    class Broken:
        def send(self, _data: bytes) -> int:
            raise OSError("on purpose")

    logger = Statsd(settings(port_of(server), tmp_path))
    logger.sock.close()
    made.append(logger)
    logger.sock = Broken()
    logger.gauge("g", 1)
    assert 'metric not sent error="OSError: on purpose"' in (tmp_path / "error.log").read_text()
    logger.sock = None
    logger.gauge("g", 1)


def test_a_call_is_counted_once_beside_the_servers_own_counting(
    server: socket.socket, tmp_path: Path, made: list[Any]
) -> None:
    logger = Statsd(settings(port_of(server), tmp_path, ""))
    made.append(logger)
    daemon = Daemon(StatsdAddress(HOST, port_of(server)), "own", "", Wiring(Desk().wiring.resolvers, print))
    logger.error_log.addFilter(LogMetrics(daemon))
    logger.error("through the look-alike")
    logger.info("said", extra={"metric": "m", "value": 1, "mtype": "gauge", "more": "kept"})
    logger.error_log.error("past it")
    assert received(server, 3) == [
        b"shop.gunicorn.log.error:1|c|@1.0",
        b"shop.m:1|g",
        b"own.gunicorn.log.error:1|c|@1.0",
    ]
    daemon.remote.close()


@pytest.mark.parametrize("host", ["path", "address", "none"])
def test_every_form_of_the_address_is_understood(tmp_path: Path, host: str, made: list[Any]) -> None:
    config = settings(1, tmp_path, "")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        path = str(tmp_path / "dsd")
        server.bind(path)
        server.settimeout(10)
        values = {"path": path, "address": StatsdAddress(path=path), "none": None}
        cfg = SimpleNamespace(
            **{name: setting.get() for name, setting in config.settings.items()} | {"statsd_host": values[host]}
        )
        logger = Statsd(cfg)
        made.append(logger)
        logger.gauge("g", 1)
        if host == "none":
            assert logger.sock is None
        else:
            assert received(server, 1) == [b"shop.g:1|g"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_in_a_server_the_master_looks_names_up_in_a_child_and_starts_no_thread(tmp_path: Path, made: list[Any]) -> None:
    """Counted in /proc, as a look-up's thread is none of threading's."""
    values = {each: setting.get() for each, setting in settings(1, tmp_path, "").settings.items()}
    # a name that does not exist (RFC 6761)
    cfg = SimpleNamespace(**values | {"statsd_host": ("name.invalid", 8125), "_ostler_logs": object()})
    logger = Statsd(cfg)
    made.append(logger)
    threads = os.listdir("/proc/self/task")
    logger.gauge("g", 1)
    assert os.listdir("/proc/self/task") == threads
    remote = logger.sock.remote

    def given_up() -> bool:
        remote.flush()
        return bool(remote.dropped)

    wait_until(given_up, deadline_s=50)
    assert os.wait()[1] == 0
