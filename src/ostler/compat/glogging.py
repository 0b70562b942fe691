"""Gunicorn's `glogging`: the `Logger` that `logger_class` names, for those who derive their own from it.

Names, attributes and the order of `setup` are Gunicorn's. Inside a server, `cfg._ostler_logs` is the process's `Logs`:
handlers then write to its sinks, which never wait. Without it (a script, a test) they are Python's plain handlers.

Rules for editing. Overridable methods call each other as Gunicorn's do: setup -> _set_handler, _set_syslog_handler;
access -> atoms -> now, _get_user. How an overridden `access` hears of requests is in logger_access.py.
"""

import logging
import logging.config
import logging.handlers
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, ClassVar, TextIO

from ostler.compat.access_views import AccessResponse
from ostler.config.address import SyslogAddress
from ostler.config.address import parse_syslog_address as _parse_syslog_address
from ostler.config.parse import BadValue
from ostler.observe.access import JSON, JsonFormat
from ostler.observe.atoms import SafeAtoms, user_of
from ostler.observe.capture import STDERR, STDOUT
from ostler.observe.handlers import SinkHandler, TaggedHandler
from ostler.observe.logconfig import LogConfig, defaults
from ostler.observe.logs import Logs
from ostler.observe.losses import DATE_FORMAT
from ostler.observe.records import ACCESS_LOGGER, ERROR_FORMAT, ERROR_LOGGER, LEVELS, JsonFormatter
from ostler.observe.syslog import FACILITIES, tag_of
from ostler.observe.userfiles import all_loggers, reopen_file_handlers

__all__ = ["CONFIG_DEFAULTS", "SYSLOG_FACILITIES", "Logger", "SafeAtoms", "loggers", "parse_syslog_address"]

SYSLOG_FACILITIES: dict[str, int] = dict(FACILITIES)
CONFIG_DEFAULTS: dict[str, Any] = defaults()

# A subclass that changes none of these is set up already, as the server's Logs are.
_ABOUT_SETUP = ("setup", "_set_handler", "_set_syslog_handler", "error_fmt", "datefmt", "access_fmt", "syslog_fmt")


def loggers() -> list[logging.Logger]:
    return [logger for logger in all_loggers() if logger is not logging.root]


def parse_syslog_address(addr: str) -> tuple[int | None, str | tuple[str, int]]:
    """(type of socket, address) as SysLogHandler takes them. Raises RuntimeError."""
    try:
        address = _parse_syslog_address(addr)
    except BadValue as error:
        raise RuntimeError(f"invalid syslog address: expected {error.expected}, got {addr!r}") from None
    match address:
        case SyslogAddress(path=path) if path:
            return (socket.SOCK_DGRAM if address.kind == "unix-dgram" else None), path
        case _:
            kind = socket.SOCK_DGRAM if address.kind == "udp" else socket.SOCK_STREAM
            return kind, (address.host, address.port)


class Logger:
    """The loggers gunicorn.error and gunicorn.access, set up from a cfg; what hooks know as server.log."""

    LOG_LEVELS: ClassVar[Mapping[str, int]] = dict(LEVELS)
    loglevel: int = logging.INFO

    error_fmt = ERROR_FORMAT
    datefmt = DATE_FORMAT
    access_fmt = "%(message)s"
    syslog_fmt = "[%(process)d] %(message)s"

    atoms_wrapper_class: type = SafeAtoms

    def __init__(self, cfg: Any) -> None:
        self.error_log = logging.getLogger(ERROR_LOGGER)
        self.access_log = logging.getLogger(ACCESS_LOGGER)
        self.cfg = cfg
        if not self._is_set_up(cfg):
            self.error_log.propagate = self.access_log.propagate = False
            self._drop_ours()  # a `setup` that does something else finds loggers without handlers, as Gunicorn's does
        self.error_handlers: list[logging.Handler] = []
        self.access_handlers: list[logging.Handler] = []
        self.logfile: TextIO | None = None
        self.lock = threading.Lock()
        self.setup(cfg)

    # -- setting up ------------------------------------------------------------------------------------------

    def setup(self, cfg: Any) -> None:
        """Raises ConfigError when a log cannot be opened or a logconfig not be applied."""
        self.cfg = cfg
        self._access_log_enabled = _wants_access_log(cfg)
        self.loglevel = self.LOG_LEVELS.get(cfg.loglevel.lower(), logging.INFO)
        if self._is_set_up(cfg):
            return
        self.error_log.setLevel(self.loglevel)
        self.access_log.setLevel(logging.INFO)
        self._drop_ours()
        self._capture()
        self._set_handler(self.error_log, cfg.errorlog, self._error_formatter())
        if cfg.accesslog is not None:
            self._set_handler(self.access_log, cfg.accesslog, logging.Formatter(self.access_fmt), sys.stdout)
        if cfg.syslog:
            self._set_syslog_handler(self.error_log, cfg, self.syslog_fmt, "error")
            if not cfg.disable_redirect_access_to_syslog:
                self._set_syslog_handler(self.access_log, cfg, self.syslog_fmt, "access")
        self._apply_logconfig(cfg)

    def _is_set_up(self, cfg: Any) -> bool:
        """The server's logs have set the loggers up, logconfig included, and this class does nothing about that."""
        return logs_of(cfg) is not None and not any(changes(self, name) for name in _ABOUT_SETUP)

    def _error_formatter(self) -> logging.Formatter:
        logs = logs_of(self.cfg)
        if logs is not None and logs.plan.error_json and self.error_fmt == Logger.error_fmt:
            return JsonFormatter()
        return logging.Formatter(self.error_fmt, self.datefmt)

    def _capture(self) -> None:
        """Outside a server; inside one its Logs have done it."""
        if logs_of(self.cfg) is None and self.cfg.capture_output and self.cfg.errorlog != "-":
            with self.lock:
                if self.logfile is not None:
                    self.logfile.close()
                self.logfile = open(self.cfg.errorlog, "a+")  # noqa: SIM115  kept open while it is the output
                for stream, standard in ((sys.stdout, STDOUT), (sys.stderr, STDERR)):
                    stream.flush()
                    os.dup2(self.logfile.fileno(), standard)

    def _apply_logconfig(self, cfg: Any) -> None:
        if (logs := logs_of(cfg)) is not None:
            logs.apply_logconfig()
        elif (config := LogConfig.of(cfg.logconfig, cfg.logconfig_dict, cfg.logconfig_json)) is not None:
            config.apply()

    def _get_gunicorn_handler(self, log: logging.Logger) -> logging.Handler | None:
        return next((handler for handler in log.handlers if getattr(handler, "_gunicorn", False)), None)

    def _drop_ours(self) -> None:
        for log in (self.error_log, self.access_log):
            for handler in log.handlers[:]:
                if getattr(handler, "_gunicorn", False):
                    self._drop(log, handler)

    def _drop(self, log: logging.Logger, handler: logging.Handler) -> None:
        log.removeHandler(handler)
        if logs_of(self.cfg) is None:  # else another generation may need it again
            handler.close()

    def _set_handler(
        self, log: logging.Logger, output: str | None, fmt: logging.Formatter, stream: TextIO | None = None
    ) -> None:
        """Put a handler in the place of ours. output: a path, "-" for `stream` (or stderr), None for no handler."""
        if (former := self._get_gunicorn_handler(log)) is not None:
            self._drop(log, former)
        if output is None:
            return
        handler: logging.Handler
        logs = logs_of(self.cfg)
        if logs is not None and (output != "-" or stream in (None, sys.stdout, sys.stderr)):
            setting = "accesslog" if log is self.access_log else "errorlog"
            standard = STDERR if stream is None or stream is sys.stderr else STDOUT
            handler = SinkHandler(logs.file_for(setting, output, standard), fmt)
        else:
            handler = logging.StreamHandler(stream) if output == "-" else logging.FileHandler(output)
            handler.setFormatter(fmt)
            _mark(handler)
        log.addHandler(handler)

    def _set_syslog_handler(self, log: logging.Logger, cfg: Any, fmt: str, name: str) -> None:
        tag = tag_of(cfg.syslog_prefix or cfg.proc_name.replace(":", "."), name)
        handler: logging.Handler
        if (logs := logs_of(cfg)) is not None and logs.syslog is not None:
            handler = TaggedHandler(logs.syslog, tag)
            if fmt != Logger.syslog_fmt:
                handler.setFormatter(logging.Formatter(f"{tag}: {fmt}"))
        else:
            kind, address = parse_syslog_address(cfg.syslog_addr)
            try:
                facility = SYSLOG_FACILITIES[cfg.syslog_facility.lower()]
            except KeyError:
                raise RuntimeError(f"unknown facility name: {cfg.syslog_facility}") from None
            handler = logging.handlers.SysLogHandler(address, facility, kind)  # type: ignore[arg-type]  # as documented
            handler.setFormatter(logging.Formatter(f"{tag}: {fmt}"))
            _mark(handler)
        log.addHandler(handler)

    # -- the error log ---------------------------------------------------------------------------------------

    def critical(self, msg: object, *args: Any, **kwargs: Any) -> None:
        self.error_log.critical(msg, *args, **kwargs)

    def error(self, msg: object, *args: Any, **kwargs: Any) -> None:
        self.error_log.error(msg, *args, **kwargs)

    def warning(self, msg: object, *args: Any, **kwargs: Any) -> None:
        self.error_log.warning(msg, *args, **kwargs)

    def info(self, msg: object, *args: Any, **kwargs: Any) -> None:
        self.error_log.info(msg, *args, **kwargs)

    def debug(self, msg: object, *args: Any, **kwargs: Any) -> None:
        self.error_log.debug(msg, *args, **kwargs)

    def exception(self, msg: object, *args: Any, **kwargs: Any) -> None:
        self.error_log.exception(msg, *args, **kwargs)

    def log(self, lvl: int | str, msg: object, *args: Any, **kwargs: Any) -> None:
        level = self.LOG_LEVELS.get(lvl.lower(), logging.INFO) if isinstance(lvl, str) else lvl
        self.error_log.log(level, msg, *args, **kwargs)

    # -- the access log --------------------------------------------------------------------------------------

    @property
    def access_log_enabled(self) -> bool:
        return self._access_log_enabled

    def access(self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: timedelta) -> None:
        if not self.access_log_enabled:
            return
        atoms = self.atoms_wrapper_class(self.atoms(resp, req, environ, request_time))
        try:
            self.access_log.info(self._access_format(resp), atoms)
        except Exception:  # noqa: BLE001  filters and handlers are users' code
            self.error("%s", traceback.format_exc())

    def _access_format(self, resp: Any) -> str:
        log_format: str = self.cfg.access_log_format
        if log_format == JSON and isinstance(resp, AccessResponse):
            return JsonFormat(time.time).message(resp.event)
        return log_format

    def atoms(self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: timedelta) -> dict[str, Any]:
        seconds, microseconds = request_time.seconds, request_time.microseconds
        sent = getattr(resp, "sent", None)
        atoms: dict[str, Any] = {
            "h": environ.get("REMOTE_ADDR", "-"),
            "l": "-",
            "u": self._get_user(environ) or "-",
            "t": self.now(),
            "r": f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} {environ['SERVER_PROTOCOL']}",
            "s": resp.status.split(None, 1)[0] if isinstance(resp.status, str) else resp.status,
            "m": environ.get("REQUEST_METHOD"),
            "U": environ.get("PATH_INFO"),
            "q": environ.get("QUERY_STRING"),
            "H": environ.get("SERVER_PROTOCOL"),
            "b": "-" if sent is None else str(sent),
            "B": sent,
            "f": environ.get("HTTP_REFERER", "-"),
            "a": environ.get("HTTP_USER_AGENT", "-"),
            "T": seconds,
            "D": seconds * 1_000_000 + microseconds,
            "M": seconds * 1_000 + microseconds // 1_000,
            "L": f"{seconds}.{microseconds:06d}",
            "p": f"<{os.getpid()}>",
        }
        atoms |= {f"{{{name.lower()}}}i": value for name, value in _pairs(getattr(req, "headers", req))}
        atoms |= {f"{{{name.lower()}}}o": value for name, value in _pairs(resp.headers)}
        atoms |= {f"{{{name.lower()}}}e": value for name, value in environ.items()}
        return atoms

    def now(self) -> str:
        return time.strftime("[%d/%b/%Y:%H:%M:%S %z]")

    def _get_user(self, environ: Mapping[str, Any]) -> str | None:
        return user_of(environ)

    # -- files -----------------------------------------------------------------------------------------------

    def reopen_files(self) -> None:
        if (logs := logs_of(self.cfg)) is not None:
            logs.reopen()
        else:
            self._capture()
            reopen_file_handlers(self.error_log)

    def close_on_exec(self) -> None:
        for log in loggers():
            for handler in log.handlers:
                if isinstance(handler, logging.FileHandler) and handler.stream is not None:
                    os.set_inheritable(handler.stream.fileno(), False)


def _wants_access_log(cfg: Any) -> bool:
    to_syslog = cfg.syslog and not cfg.disable_redirect_access_to_syslog
    return bool(cfg.accesslog or cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json or to_syslog)


def changes(logger: "Logger", name: str) -> bool:
    """Whether a user's class, or somebody on the object, has put something else in the place of Logger's `name`."""
    return name in vars(logger) or getattr(type(logger), name) is not getattr(Logger, name)


def _mark(handler: logging.Handler) -> None:
    vars(handler)["_gunicorn"] = True


def logs_of(cfg: Any) -> Logs | None:
    """The Logs of the process that `cfg` belongs to; None outside a server."""
    logs = getattr(cfg, "_ostler_logs", None)
    return logs if isinstance(logs, Logs) else None


def _pairs(fields: Any) -> Iterable[tuple[str, Any]]:
    return fields.items() if hasattr(fields, "items") else fields  # type: ignore[no-any-return]
