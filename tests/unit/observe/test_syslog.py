"""On the wire as logging.handlers.SysLogHandler writes it, with real sockets and the real handler beside ours."""

import logging
import logging.handlers
import os
import socket
import threading
from pathlib import Path

import pytest
from gunicorn.glogging import SYSLOG_FACILITIES

from ostler.config.address import SyslogAddress
from ostler.errors import ConfigError
from ostler.observe.line import Loss
from ostler.observe.remote import Wiring
from ostler.observe.syslog import FACILITIES, LIMIT_BYTES, Syslog, SyslogHandler, SyslogSink, severity_of, tag_of
from tests.unit.observe.remotes import (
    HOST,
    Desk,
    accepted,
    free_port,
    port_of,
    read_bytes,
    received,
    tcp_server,
    udp_server,
)

LEVELS = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def record_of(level: int, message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("gunicorn.error", level, __file__, 1, message, args, None)


def test_facilities_are_gunicorns() -> None:
    assert FACILITIES == SYSLOG_FACILITIES


def test_a_facility_that_is_none_is_refused(desk: Desk) -> None:
    with pytest.raises(ConfigError, match=r'syslog_facility: expected one of auth, .*, got "locl0"'):
        Syslog(SyslogAddress("udp", HOST, 514), "locl0", desk.wiring)


@pytest.mark.parametrize("facility", ["user", "LOCAL7", "authpriv"])
def test_datagrams_are_those_of_pythons_handler(desk: Desk, facility: str) -> None:
    with udp_server() as server:
        syslog = Syslog(SyslogAddress("udp", HOST, port_of(server)), facility, desk.wiring)
        ours = SyslogHandler(syslog, tag_of("shop", "error"))
        theirs = logging.handlers.SysLogHandler((HOST, port_of(server)), SYSLOG_FACILITIES[facility.lower()])
        theirs.setFormatter(logging.Formatter("gunicorn.shop.error: [%(process)d] %(message)s"))
        for level in LEVELS:
            for message in ("plain", "ümläut €", "two\nlines", "", "%s and more"):
                record = record_of(level, message, *(["an argument"] if "%" in message else []))
                ours.handle(record)
                theirs.handle(record)
                mine, reference = received(server, 2)
                assert mine == reference
        theirs.close()
        syslog.remote.close()


def test_exceptions_are_told_with_their_traceback(desk: Desk) -> None:
    with udp_server() as server:
        syslog = Syslog(SyslogAddress("udp", HOST, port_of(server)), "user", desk.wiring)
        logger = logging.Logger("gunicorn.error")
        logger.addHandler(SyslogHandler(syslog, "t"))
        try:
            raise RuntimeError("on purpose")
        except RuntimeError:
            logger.exception("failed")
        (message,) = received(server, 1)
        assert message.startswith(b"<11>t: [%d] failed\nTraceback" % os.getpid())
        assert message.endswith(b"RuntimeError: on purpose\0")
        syslog.remote.close()


def test_over_tcp_a_message_is_one_line(desk: Desk) -> None:
    with tcp_server() as server:
        syslog = Syslog(SyslogAddress("tcp", HOST, port_of(server)), "daemon", desk.wiring)
        SyslogHandler(syslog, "t").handle(record_of(logging.ERROR, "two\nlines"))
        SyslogSink(syslog, tag_of("shop", "access")).write("GET / 200")
        expected = b"<27>t: [%d] two#012lines\n<30>gunicorn.shop.access: [%d] GET / 200\n" % (os.getpid(), os.getpid())
        with accepted(server) as connection:
            syslog.remote.flush()
            assert read_bytes(connection, len(expected)) == expected
        syslog.remote.close()


def test_over_a_unix_stream_a_nul_ends_messages_and_stands_in_none(desk: Desk, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "log"))
        server.listen()
        server.settimeout(10)
        syslog = Syslog(SyslogAddress("unix", path=str(tmp_path / "log")), "user", desk.wiring)
        syslog.send(3, "first")
        syslog.send(3, "a\0b\nc")
        with accepted(server) as connection:
            assert read_bytes(connection, 26) == b"<11>first\0<11>a#000b#012c\0"
        syslog.remote.close()


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_long_messages_are_cut_between_characters(desk: Desk, kind: str) -> None:
    for text in ("x" * 100_000, "€" * 50_000, "a" + "€" * 50_000, "ab" + "€" * 50_000):
        with udp_server() as udp, tcp_server() as tcp:
            server = udp if kind == "udp" else tcp
            syslog = Syslog(SyslogAddress(kind, HOST, port_of(server)), "user", desk.wiring)  # type: ignore[arg-type]
            syslog.send(6, text)
            if kind == "udp":
                (message,) = received(udp, 1)
            else:
                with accepted(tcp) as connection:
                    syslog.remote.flush()
                    message = b""
                    while not message.endswith(b"\n"):
                        message += connection.recv(65536)
            assert LIMIT_BYTES - 3 < len(message) <= LIMIT_BYTES
            assert message[:-1].decode() == "<14>" + text[: len(message[:-1].decode()) - 7] + "..."
            syslog.remote.close()


def test_a_message_of_just_the_limit_is_whole(desk: Desk) -> None:
    with udp_server() as server:
        syslog = Syslog(SyslogAddress("udp", HOST, port_of(server)), "user", desk.wiring)
        syslog.send(6, "x" * (LIMIT_BYTES - 5))
        assert received(server, 1) == [b"<14>" + b"x" * (LIMIT_BYTES - 5) + b"\0"]
        syslog.remote.close()


def test_lone_surrogates_are_escaped(desk: Desk) -> None:
    with udp_server() as server:
        syslog = Syslog(SyslogAddress("udp", HOST, port_of(server)), "user", desk.wiring)
        syslog.send(6, "\udcff")
        assert received(server, 1) == [b"<14>\\udcff\0"]
        syslog.remote.close()


def test_levels_of_an_application_count_as_the_next_lower() -> None:
    assert [severity_of(level) for level in (5, 10, 19, 20, 25, 30, 35, 40, 50, 60)] == [7, 7, 7, 6, 6, 4, 4, 3, 2, 2]


def test_a_broken_log_call_is_told_and_raises_nothing(desk: Desk) -> None:
    with udp_server() as server:
        syslog = Syslog(SyslogAddress("udp", HOST, port_of(server)), "user", desk.wiring)
        SyslogHandler(syslog, "t").handle(record_of(logging.INFO, "%d", "no number"))
        assert b"log call is broken at=" in received(server, 1)[0]
        syslog.remote.close()


def test_a_filter_of_the_handler_is_asked(desk: Desk) -> None:
    with udp_server() as server:
        syslog = Syslog(SyslogAddress("udp", HOST, port_of(server)), "user", desk.wiring)
        handler = SyslogHandler(syslog, "50% off")
        handler.addFilter(lambda record: record.msg != "no")
        assert not handler.handle(record_of(logging.INFO, "no"))
        assert handler.handle(record_of(logging.INFO, "yes"))
        assert received(server, 1) == [b"<14>50%% off: [%d] yes\0" % os.getpid()]
        syslog.remote.close()


def test_a_report_that_is_logged_through_the_same_handler_waits_for_nobody() -> None:
    """Many threads, a dead daemon, two handlers that report to the logger they hang on."""
    logger = logging.Logger("gunicorn.error")
    losses: list[Loss] = []

    def report(loss: Loss) -> None:
        losses.append(loss)
        logger.warning("%s", loss.told("syslog messages"))

    desk = Desk()
    wiring = Wiring(lambda: desk.resolver, report)
    remotes = []
    for _ in range(2):
        syslog = Syslog(SyslogAddress("tcp", HOST, free_port()), "user", wiring)
        remotes.append(syslog.remote)
        logger.addHandler(SyslogHandler(syslog, "t"))

    def speak() -> None:
        for _ in range(300):
            logger.info("x" * 1000)

    speakers = [threading.Thread(target=speak) for _ in range(4)]
    for speaker in speakers:
        speaker.start()
    for speaker in speakers:
        speaker.join(20)
        assert not speaker.is_alive()
    assert len(losses) == 2
    assert losses[0].told("syslog messages").startswith("syslog messages lost to=tcp://127.0.0.1:")
    for remote in remotes:
        remote.close()
