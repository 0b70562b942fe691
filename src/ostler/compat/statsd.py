"""gunicorn.instrument.statsd, for who subclasses or names it: a Logger that sends metrics.

Ostler itself sends metrics from observe/statsd.py, of whatever is logged and served; this is for `logger_class` and for
code that calls `server.log.increment(...)`. What is logged through here is counted here, as Gunicorn does, and marked,
so that the server does not count it again.

Rules for editing: names and signatures are Gunicorn's. Subclasses override any method, and replace `sock`.
"""

import logging
import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from ostler.compat.glogging import Logger
from ostler.config.address import StatsdAddress
from ostler.logline import fields
from ostler.observe import statsd
from ostler.observe.line import Loss
from ostler.observe.remote import Remote, Wiring
from ostler.observe.resolve import ForkedResolver, Resolver, ThreadResolver
from ostler.observe.route import Destination
from ostler.observe.statsd import COUNTED, LogMetrics, normal_prefix
from ostler.process.fork import fork

# Gunicorn's names for them.
METRIC_VAR: Final = statsd.METRIC
VALUE_VAR: Final = statsd.VALUE
MTYPE_VAR: Final = statsd.TYPE
GAUGE_TYPE: Final = statsd.GAUGE
COUNTER_TYPE: Final = statsd.COUNTER
HISTOGRAM_TYPE: Final = statsd.HISTOGRAM
TIMER_TYPE: Final = statsd.TIMER


class StatsdSocket:
    """What stands for the datagram socket: `send` never waits."""

    def __init__(self, remote: Remote) -> None:
        self.remote = remote

    def send(self, data: bytes) -> int:
        self.remote.send(data)
        return len(data)

    def close(self) -> None:
        self.remote.close()


class Statsd(Logger):
    """A Logger that also sends metrics. `sock` may be replaced by anything with `send(bytes)`, or None for silence."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.prefix: str = normal_prefix(cfg.statsd_prefix)
        self.dogstatsd_tags: str = cfg.dogstatsd_tags
        self.sock: Any = None
        destination = _destination(cfg.statsd_host)
        if destination is not None:
            resolvers = _resolvers_from_here() if getattr(cfg, "_ostler_logs", None) is not None else ThreadResolver
            self.sock = StatsdSocket(Remote(destination, Wiring(resolvers, self._lost), queue_bytes=0))

    def critical(self, msg: object, *args: Any, **kwargs: Any) -> None:
        super().critical(msg, *args, **self._counted(kwargs))
        self.increment("gunicorn.log.critical", 1)

    def error(self, msg: object, *args: Any, **kwargs: Any) -> None:
        super().error(msg, *args, **self._counted(kwargs))
        self.increment("gunicorn.log.error", 1)

    def warning(self, msg: object, *args: Any, **kwargs: Any) -> None:
        super().warning(msg, *args, **self._counted(kwargs))
        self.increment("gunicorn.log.warning", 1)

    def exception(self, msg: object, *args: Any, **kwargs: Any) -> None:
        super().exception(msg, *args, **self._counted(kwargs))
        self.increment("gunicorn.log.exception", 1)

    def info(self, msg: object, *args: Any, **kwargs: Any) -> None:
        self.log(logging.INFO, msg, *args, **kwargs)

    def debug(self, msg: object, *args: Any, **kwargs: Any) -> None:
        self.log(logging.DEBUG, msg, *args, **kwargs)

    def log(self, lvl: int | str, msg: object, *args: Any, **kwargs: Any) -> None:
        """Send the metric in `extra`, at whatever log level; log only if there is a message."""
        extra = kwargs.get("extra")
        if isinstance(extra, Mapping):
            self._send_metric(extra.get(METRIC_VAR), extra.get(VALUE_VAR), extra.get(MTYPE_VAR))
        if msg:
            super().log(lvl, msg, *args, **self._counted(kwargs))

    def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
        super().access(resp, req, environ, request_time)
        status = resp.status.decode("utf-8") if isinstance(resp.status, bytes) else resp.status
        code = int(status.split(None, 1)[0]) if isinstance(status, str) else status
        self.timer("gunicorn.request.duration", request_time.seconds * 1000 + request_time.microseconds / 1000)
        self.increment("gunicorn.requests", 1)
        self.increment(f"gunicorn.request.status.{code}", 1)

    def gauge(self, name: str, value: object) -> None:
        self._sock_send(f"{self.prefix}{name}:{value}|g")

    def increment(self, name: str, value: object, sampling_rate: float = 1.0) -> None:
        self._sock_send(f"{self.prefix}{name}:{value}|c|@{sampling_rate}")

    def decrement(self, name: str, value: object, sampling_rate: float = 1.0) -> None:
        self._sock_send(f"{self.prefix}{name}:-{value}|c|@{sampling_rate}")

    def timer(self, name: str, value: object) -> None:
        self._sock_send(f"{self.prefix}{name}:{value}|ms")

    def histogram(self, name: str, value: object) -> None:
        self._sock_send(f"{self.prefix}{name}:{value}|h")

    def _send_metric(self, metric: Any, value: object, kind: object) -> None:
        if not metric or value is None:
            return
        match kind:
            case "gauge":
                self.gauge(metric, value)
            case "counter":
                self.increment(metric, value)
            case "histogram":
                self.histogram(metric, value)
            case "timer":
                self.timer(metric, value)

    def _sock_send(self, msg: str | bytes) -> None:
        data = msg.encode("utf-8", "backslashreplace") if isinstance(msg, str) else msg
        if self.dogstatsd_tags:
            data += b"|#" + self.dogstatsd_tags.encode("utf-8", "backslashreplace")
        if self.sock is None:
            return
        try:
            self.sock.send(data)
        except Exception as error:  # noqa: BLE001 - a socket that a subclass put there; ours does not raise
            problem = f"{type(error).__name__}: {error}"
            super().warning(fields("metric not sent", error=problem), **self._counted({}))

    def _counted(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Tell the server's own counting, where there is one, that this call is counted here."""
        if not any(isinstance(each, LogMetrics) for each in self.error_log.filters):
            return kwargs
        return {**kwargs, "extra": {**(kwargs.get("extra") or {}), COUNTED: True}}

    def _lost(self, loss: Loss) -> None:
        super().warning(loss.told("metrics"), **self._counted({}))


def _resolvers_from_here() -> Callable[[], Resolver]:
    """In a server this is called in the master, which must have no threads; its workers may."""
    master = os.getpid()

    def resolver() -> Resolver:
        return ForkedResolver(fork, _hold_nothing_back) if os.getpid() == master else ThreadResolver()

    return resolver


def _hold_nothing_back() -> None:
    """Listeners that a look-up inherits are its for a minute at most."""


def _destination(host: Any) -> Destination | None:
    """Of a statsd_host as Gunicorn has it, (host, port) or the path of a socket, or as ours."""
    match host:
        case StatsdAddress(path=path) if path:
            return Destination("unix-dgram", path=path)
        case StatsdAddress(host=name, port=port):
            return Destination("udp", name, port)
        case str(path) if path:
            return Destination("unix-dgram", path=path)
        case (str(name), int(port)):
            return Destination("udp", name, port)
        case _:
            return None
