"""Datagrams byte for byte beside those of gunicorn.instrument.statsd.Statsd, through real sockets."""

import contextlib
import datetime
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gunicorn.config
import pytest
from gunicorn.instrument.statsd import Statsd as GunicornStatsd
from hypothesis import given
from hypothesis import strategies as st

from ostler.config.address import StatsdAddress
from ostler.lifecycle import RequestFinished
from ostler.observe.resolve import Answer, Endpoint
from ostler.observe.statsd import LogMetrics, Statsd, StatsdObserver, normal_prefix
from tests.unit.observe.remotes import HOST, Desk, free_port, port_of, received, udp_server


@contextlib.contextmanager
def loggers_kept() -> Iterator[None]:
    """Gunicorn's Logger sets up the loggers of the process."""
    found = [logging.getLogger(name) for name in ("gunicorn.error", "gunicorn.access")]
    states = [(logger.handlers[:], logger.level, logger.propagate) for logger in found]
    try:
        yield
    finally:
        for logger, (handlers, level, propagate) in zip(found, states, strict=True):
            logger.handlers[:], logger.propagate = handlers, propagate
            logger.setLevel(level)


def theirs(port: int, prefix: str, tags: str) -> GunicornStatsd:
    config = gunicorn.config.Config()
    config.set("statsd_host", f"{HOST}:{port}")
    config.set("statsd_prefix", prefix)
    config.set("dogstatsd_tags", tags)
    config.set("loglevel", "critical")
    return GunicornStatsd(config)


def finished(status: str, duration_s: float) -> RequestFinished:
    return RequestFinished({}, [], status, [], 5, duration_s, "GET", "/", "HTTP/1.1")


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    ("prefix", "tags"), [("", ""), ("shop", ""), ("shop.", "env:prod,tier:web"), ("a", "x"), ("...", "")]
)
def test_every_metric_is_gunicorns(desk: Desk, prefix: str, tags: str) -> None:
    with udp_server() as server, loggers_kept():
        ours = Statsd(StatsdAddress(HOST, port_of(server)), prefix, tags, desk.wiring)
        reference = theirs(port_of(server), prefix, tags)
        for statsd in (ours, reference):
            statsd.gauge("gunicorn.workers", 4)
            statsd.gauge("g", "+1.5")
            statsd.increment("c", 1)
            statsd.increment("c", 2, 0.5)
            statsd.decrement("c", 3)
            statsd.decrement("c", 3, sampling_rate=0.25)
            statsd.timer("t", 12.5)
            statsd.histogram("h", 7)
        mine, expected = received(server, 8), received(server, 8)
        assert mine == expected
        ours.remote.close()
        reference.sock.close()


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "500 Internal Server Error"])
@pytest.mark.parametrize("duration_s", [0.0, 0.0000004, 0.000123, 0.0123, 0.999999, 1.001234, 59.9, 3601.000001])
def test_a_request_is_told_as_gunicorn_tells_it(desk: Desk, status: str, duration_s: float) -> None:
    with udp_server() as server, loggers_kept():
        ours = Statsd(StatsdAddress(HOST, port_of(server)), "shop", "env:prod", desk.wiring)
        reference = theirs(port_of(server), "shop", "env:prod")
        StatsdObserver(ours).request_finished(finished(status, duration_s))
        reference.access(SimpleNamespace(status=status), None, {}, datetime.timedelta(seconds=duration_s))
        mine, expected = received(server, 3), received(server, 3)
        assert mine == expected
        ours.remote.close()
        reference.sock.close()


@given(st.text(alphabet="a.b-", max_size=8))
def test_prefixes_become_what_gunicorn_makes_of_them(prefix: str) -> None:
    with loggers_kept():
        reference = theirs(9, prefix, "")
        reference.sock.close()
    assert normal_prefix(prefix) == reference.prefix


def test_a_path_is_a_unix_datagram_socket(desk: Desk, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "dsd"))
        server.settimeout(10)
        statsd = Statsd(StatsdAddress(path=str(tmp_path / "dsd")), "", "env:ümlaut", desk.wiring)
        statsd.increment("c", 1)
        assert received(server, 1) == ["c:1|c|@1.0|#env:ümlaut".encode()]
        statsd.remote.close()


def test_without_a_daemon_metrics_are_lost_and_counted(desk: Desk, tmp_path: Path) -> None:
    statsd = Statsd(StatsdAddress(path=str(tmp_path / "none")), "", "", desk.wiring)
    for _ in range(10):
        statsd.increment("c", 1)
    assert statsd.remote.dropped == 10
    assert desk.losses[0].told("metrics") == (
        f'metrics lost to=unix-dgram:{tmp_path}/none messages=1 error="no such file or directory"'
    )
    statsd = Statsd(StatsdAddress(HOST, free_port(socket.SOCK_DGRAM)), "", "", desk.wiring)
    for _ in range(10):
        statsd.increment("c", 1)
    assert statsd.remote.dropped == 9
    statsd.remote.close()


def test_the_first_metrics_wait_for_the_look_up_of_a_name_and_no_longer(desk: Desk) -> None:
    with udp_server() as server:
        statsd = Statsd(StatsdAddress("loghost", port_of(server)), "", "", desk.wiring)
        statsd.gauge("gunicorn.workers", 4)
        statsd.remote.flush()
        assert statsd.remote.dropped == 0
        desk.resolver.answer = Answer((Endpoint(socket.AF_INET, (HOST, port_of(server))),))
        statsd.remote.flush()
        assert received(server, 1) == [b"gunicorn.workers:4|g"]
        statsd.remote.close()
    statsd = Statsd(StatsdAddress("loghost", 8125), "", "", desk.wiring)
    desk.resolver.answer = None
    statsd.gauge("gunicorn.workers", 4)
    desk.resolver.answer = Answer((), "name or service not known")
    statsd.remote.flush()
    statsd.increment("c", 1)
    assert statsd.remote.dropped == 2
    assert desk.losses[-1].error == "cannot look up loghost: name or service not known"


# --- log calls


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def counted(desk: Desk) -> Iterator[tuple[logging.Logger, Lines, socket.socket]]:
    logger, lines = logging.Logger("gunicorn.error", logging.INFO), Lines()
    with udp_server() as server:
        statsd = Statsd(StatsdAddress(HOST, port_of(server)), "", "", desk.wiring)
        logger.addHandler(lines)
        logger.addFilter(LogMetrics(statsd))
        yield logger, lines, server
        statsd.remote.close()


def test_records_are_counted_by_level(counted: tuple[logging.Logger, Lines, socket.socket]) -> None:
    logger, lines, server = counted
    logger.info("not counted")
    logger.warning("w")
    logger.error("e")
    logger.critical("c")
    try:
        raise ValueError
    except ValueError:
        logger.exception("x")
    names = ["warning", "error", "critical", "exception"]
    assert received(server, 4) == [f"gunicorn.log.{name}:1|c|@1.0".encode() for name in names]
    assert [record.msg for record in lines.records] == ["not counted", "w", "e", "c", "x"]


def test_metrics_of_log_calls_are_sent(counted: tuple[logging.Logger, Lines, socket.socket]) -> None:
    logger, lines, server = counted
    for kind in ("gauge", "counter", "histogram", "timer", "nonsense"):
        logger.info("", extra={"metric": "m", "value": 0, "mtype": kind})
    logger.info("said too", extra={"metric": "m", "value": 1, "mtype": "gauge"})
    logger.info("no value", extra={"metric": "m"})
    assert received(server, 5) == [b"m:0|g", b"m:0|c|@1.0", b"m:0|h", b"m:0|ms", b"m:1|g"]
    assert [record.msg for record in lines.records] == ["said too", "no value"]


def test_a_record_that_was_counted_by_its_maker_is_not_counted_again(
    counted: tuple[logging.Logger, Lines, socket.socket],
) -> None:
    logger, lines, server = counted
    logger.error("e", extra={"_statsd_counted": True, "metric": "m", "value": 1, "mtype": "gauge"})
    logger.warning("w")
    assert received(server, 1) == [b"gunicorn.log.warning:1|c|@1.0"]
    assert not hasattr(lines.records[0], "_statsd_counted")
