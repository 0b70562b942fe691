"""compat/glogging.py"""

import json
import logging
import os
import re
import socket
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from ostler.compat import glogging
from ostler.compat.glogging import Logger
from ostler.compat.logger_access import LoggerAccess, make_logger
from ostler.errors import ConfigError
from ostler.lifecycle import RequestFinished
from ostler.observe.plan import LogPlan
from tests.unit.observe.process_logs import process_logs

DEFAULT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'


@dataclass
class Cfg:
    """As much of a cfg as a Logger asks for."""

    errorlog: str = "-"
    accesslog: str | None = None
    loglevel: str = "info"
    capture_output: bool = False
    access_log_format: str = DEFAULT
    logconfig: str | None = None
    logconfig_dict: dict[str, Any] = field(default_factory=dict)
    logconfig_json: str | None = None
    syslog: bool = False
    syslog_addr: str = "udp://localhost:514"
    syslog_prefix: str | None = None
    syslog_facility: str = "user"
    disable_redirect_access_to_syslog: bool = False
    proc_name: str = "web:app"
    _ostler_logs: Any = None


@pytest.fixture
def desk():
    with process_logs() as desk:
        yield desk


@pytest.fixture
def serving(desk):
    """A cfg inside a server, its logs opened."""

    def serve(**values):
        cfg = Cfg(**values)
        plan = LogPlan(errorlog=cfg.errorlog, accesslog=cfg.accesslog, loglevel=cfg.loglevel)
        cfg._ostler_logs = desk(**{name: getattr(plan, name) for name in ("errorlog", "accesslog", "loglevel")})
        return cfg

    return serve


@pytest.fixture(params=["in a server", "alone"])
def cfg_of(request, desk, serving):
    return serving if request.param == "in a server" else Cfg


def finished(path="/a", **changes):
    values = {
        "environ": {
            "REMOTE_ADDR": "192.0.2.7", "REMOTE_PORT": "4000", "PATH_INFO": path, "QUERY_STRING": "x=1",
            "REQUEST_METHOD": "GET", "RAW_URI": f"{path}?x=1", "SERVER_PROTOCOL": "HTTP/1.1",
        },
        "request_fields": [("x-id", "7f")], "status": "200 OK", "response_fields": [("Content-Length", "5")],
        "sent": 5, "duration_s": 1.25, "method": "GET", "target": f"{path}?x=1", "protocol": "HTTP/1.1",
    }  # fmt: skip
    return RequestFinished(**(values | changes))


def test_it_has_the_names_that_subclasses_use(cfg_of):
    logger = Logger(cfg_of())
    names = (
        "setup access atoms now reopen_files close_on_exec critical error warning info debug exception log error_log"
        " access_log error_handlers access_handlers logfile lock cfg loglevel LOG_LEVELS error_fmt datefmt access_fmt"
        " syslog_fmt atoms_wrapper_class access_log_enabled _set_handler _set_syslog_handler _get_user"
    )
    assert [name for name in names.split() if not hasattr(logger, name)] == []
    for name in ("CONFIG_DEFAULTS", "SafeAtoms", "SYSLOG_FACILITIES", "parse_syslog_address", "loggers"):
        assert hasattr(glogging, name)
    assert logger.error_log.name == "gunicorn.error"
    assert not logger.error_log.propagate
    assert glogging.SYSLOG_FACILITIES["local3"] == 19
    assert logger.access_log in glogging.loggers()


def test_its_methods_write_to_the_error_log(cfg_of, tmp_path):
    logger = Logger(cfg_of(errorlog=str(tmp_path / "e"), loglevel="debug"))
    for name in ("critical", "error", "warning", "info", "debug"):
        getattr(logger, name)("said %s", name)
    logger.log("warning", "by name")
    logger.log(logging.ERROR, "by number")
    try:
        raise KeyError("k")
    except KeyError:
        logger.exception("failed")
    text = (tmp_path / "e").read_text()
    assert re.findall(r"\[([A-Z]+)\] (.+)", text) == [
        ("CRITICAL", "said critical"), ("ERROR", "said error"), ("WARNING", "said warning"), ("INFO", "said info"),
        ("DEBUG", "said debug"), ("WARNING", "by name"), ("ERROR", "by number"), ("ERROR", "failed"),
    ]  # fmt: skip
    assert "KeyError: 'k'" in text


def test_the_plain_logger_changes_nothing_of_the_logs(serving, tmp_path):
    cfg = serving(errorlog=str(tmp_path / "e"), accesslog=str(tmp_path / "a"))
    handlers = cfg._ostler_logs.error.handlers[:]
    logger = make_logger(Logger, cfg)
    assert logger.error_log.handlers == handlers
    assert not LoggerAccess.wanted(logger)
    assert cfg._ostler_logs.way.straight() is not None


class OwnFormats(Logger):
    error_fmt = "E %(message)s"
    access_fmt = "A %(message)s"

    def setup(self, cfg):
        super().setup(cfg)
        self.error_log.addFilter(self.quiet)

    def quiet(self, record):
        return "secret" not in record.getMessage()


def test_formats_and_filters_of_a_subclass_are_used(cfg_of, tmp_path):
    cfg = cfg_of(errorlog=str(tmp_path / "e"), accesslog=str(tmp_path / "a"), access_log_format="%(m)s %(U)s")
    logger = make_logger(OwnFormats, cfg)
    logger.info("hello")
    logger.info("secret")
    LoggerAccess(logger).request_finished(finished())
    assert (tmp_path / "e").read_text() == "E hello\n"
    assert (tmp_path / "a").read_text() == "A GET /a\n"
    if cfg._ostler_logs is not None:
        assert cfg._ostler_logs.way.straight() is None
        cfg._ostler_logs.access_observer().request_finished(finished())
        assert (tmp_path / "a").read_text().splitlines()[1].startswith("A 192.0.2.7")


def test_what_a_subclass_set_up_comes_back_with_its_generation(serving, desk, tmp_path):
    cfg = serving(errorlog=str(tmp_path / "e"))
    logger = make_logger(OwnFormats, cfg)
    desk(errorlog=str(tmp_path / "2"))
    cfg._ostler_logs.install()
    logger.info("again")
    logger.info("secret")
    assert (tmp_path / "e").read_text() == "E again\n"


class JsonLines(Logger):
    def setup(self, cfg):
        super().setup(cfg)

        class Formatter(logging.Formatter):
            def format(self, record):
                return json.dumps({"path": record.args["U"], "id": record.args["{x-id}i"], "us": record.args["D"]})

        self._set_handler(self.access_log, cfg.accesslog, Formatter(), stream=sys.stdout)


def test_a_formatter_that_reads_record_args_gets_the_atoms(serving, tmp_path):
    cfg = serving(accesslog=str(tmp_path / "a"))
    logger = make_logger(JsonLines, cfg)
    assert not LoggerAccess.wanted(logger)
    cfg._ostler_logs.access_observer().request_finished(finished())
    assert json.loads((tmp_path / "a").read_text()) == {"path": "/a", "id": "7f", "us": 1_250_000}


class NoHealth(Logger):
    def access(self, resp, req, environ, request_time):
        if req.path != "/health":
            super().access(resp, req, environ, request_time)


def test_a_subclass_may_leave_requests_out(cfg_of, tmp_path):
    logger = make_logger(NoHealth, cfg_of(accesslog=str(tmp_path / "a"), access_log_format="%(U)s %(L)s %({X-Id}i)s"))
    assert LoggerAccess.wanted(logger)
    for path in ("/health", "/a"):
        LoggerAccess(logger).request_finished(finished(path))
    assert (tmp_path / "a").read_text() == "/a 1.250000 7f\n"


class Tenants(Logger):
    def atoms(self, resp, req, environ, request_time):
        atoms = super().atoms(resp, req, environ, request_time)
        atoms["tenant"] = f'"{environ["SERVER_PROTOCOL"]}"'
        return atoms


def test_a_subclass_may_have_atoms_of_its_own(cfg_of, tmp_path):
    logger = make_logger(Tenants, cfg_of(accesslog=str(tmp_path / "a"), access_log_format="%(tenant)s %(none)s %(B)d"))
    LoggerAccess(logger).request_finished(finished())
    LoggerAccess(logger).request_finished(finished(environ={}, sent=None, status="", response_fields=[]))
    assert (tmp_path / "a").read_text() == '\\"HTTP/1.1\\" - 5\n\\"HTTP/1.1\\" - 0\n'


def test_a_hook_may_replace_access_on_the_object(serving):
    logger = make_logger(Logger, serving(accesslog="-"))
    heard = []
    logger.access = lambda *arguments: heard.append(arguments)
    assert LoggerAccess.wanted(logger)
    LoggerAccess(logger).request_finished(finished())
    ((response, request, environ, lasted),) = heard
    assert (response.status, response.status_code, response.sent, response.response_length) == ("200 OK", 200, 5, 5)
    assert response.headers == [("Content-Length", "5")]
    assert (request.method, request.uri, request.path, request.query) == ("GET", "/a?x=1", "/a", "x=1")
    assert (request.version, request.headers) == ((1, 1), [("X-ID", "7f")])
    assert request.peer_addr == request.remote_addr == ("192.0.2.7", 4000)
    assert environ["PATH_INFO"] == "/a"
    assert lasted == timedelta(seconds=1.25)


def test_an_access_that_raises_is_told_and_costs_no_request(serving, tmp_path):
    class Broken(Logger):
        def access(self, *arguments):
            raise ZeroDivisionError("mine")

    observer = LoggerAccess(make_logger(Broken, serving(errorlog=str(tmp_path / "e"), accesslog="-")))
    for _ in range(3):
        observer.request_finished(finished())
    text = (tmp_path / "e").read_text()
    assert text.count("access log line lost, the logger_class raised times=1") == 1
    assert text.count("ZeroDivisionError: mine") == 1


def test_a_logger_class_that_cannot_be_set_up_leaves_the_loggers_as_they_were(serving, tmp_path):
    class Broken(Logger):
        def setup(self, cfg):
            super().setup(cfg)
            self.error_log.handlers.clear()
            raise ZeroDivisionError("mine")

    cfg = serving(errorlog=str(tmp_path / "e"))
    with pytest.raises(ConfigError, match=r"logger_class: .*Broken cannot be set up: ZeroDivisionError: mine"):
        make_logger(Broken, cfg)
    cfg._ostler_logs.error.info("still here")
    assert (tmp_path / "e").read_text().endswith("still here\n")


def test_any_class_that_behaves_as_a_logger_will_do(serving):
    class Own:
        installed = False

        def __init__(self, cfg):
            assert self.installed

        @classmethod
        def install(cls):
            cls.installed = True

    assert LoggerAccess.wanted(make_logger(Own, serving()))


def test_handlers_can_go_to_other_files_which_are_reopened_too(serving, tmp_path):
    class Elsewhere(Logger):
        def setup(self, cfg):
            super().setup(cfg)
            self._set_handler(self.access_log, str(tmp_path / "other"), logging.Formatter("%(message)s"))

    cfg = serving()
    logger = make_logger(Elsewhere, cfg)
    logger.access_log.info("before")
    os.rename(tmp_path / "other", tmp_path / "other.1")
    logger.reopen_files()
    logger.access_log.info("after")
    assert (tmp_path / "other.1").read_text() == "before\n"
    assert (tmp_path / "other").read_text() == "after\n"


def test_outside_a_server_files_are_reopened_and_not_inherited(desk, tmp_path):
    logger = Logger(Cfg(errorlog=str(tmp_path / "e"), capture_output=True))
    os.rename(tmp_path / "e", tmp_path / "e.1")
    logger.reopen_files()
    logger.close_on_exec()
    logger.info("after")
    os.write(1, b"printed\n")
    logger.logfile.close()
    assert "after\nprinted\n" in (tmp_path / "e").read_text()


def test_a_handler_without_output_is_removed(cfg_of):
    logger = Logger(cfg_of())
    logger._set_handler(logger.error_log, None, logging.Formatter())
    assert logger.error_log.handlers == []


def test_syslog_outside_a_server_is_pythons_handler(desk):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(5)
        address = f"udp://127.0.0.1:{daemon.getsockname()[1]}"
        logger = Logger(Cfg(syslog=True, syslog_addr=address))
        logger.warning("careful")
        assert daemon.recv(1000) == f"<12>gunicorn.web.app.error: [{os.getpid()}] careful\0".encode()
        assert logger.access_log_enabled
        for log in (logger.error_log, logger.access_log):
            for handler in log.handlers[:]:
                handler.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unix:///dev/log", (None, "/dev/log")), ("unix:///dev/log#dgram", (socket.SOCK_DGRAM, "/dev/log")),
        ("udp://h:1514", (socket.SOCK_DGRAM, ("h", 1514))), ("tcp://h", (socket.SOCK_STREAM, ("h", 514))),
        ("udp://[::1]:5", (socket.SOCK_DGRAM, ("::1", 5))),
    ],
)  # fmt: skip
def test_syslog_addresses(text, expected):
    assert glogging.parse_syslog_address(text) == expected


@pytest.mark.parametrize("text", ["", "http://x", "udp://h:x"])
def test_a_wrong_syslog_address_is_a_runtime_error(text):
    with pytest.raises(RuntimeError, match="invalid syslog address"):
        glogging.parse_syslog_address(text)


def test_json_lines_come_from_an_overridden_access_too(serving, tmp_path):
    logger = make_logger(NoHealth, serving(accesslog=str(tmp_path / "a"), access_log_format="json"))
    LoggerAccess(logger).request_finished(finished())
    assert json.loads((tmp_path / "a").read_text())["path"] == "/a"


def test_setting_up_again_stacks_no_handlers(cfg_of, tmp_path):
    cfg = cfg_of(errorlog=str(tmp_path / "e"), accesslog=str(tmp_path / "a"))
    logger = OwnFormats(cfg)
    logger.setup(cfg)
    assert len(logger.error_log.handlers) == len(logger.access_log.handlers) == 1
