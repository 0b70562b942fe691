"""Microseconds that one access-log line costs: formatting, the check of the logger, the write, and the ways there are.

    format   the line alone          escaped   the same, with a quote in a value
    checked  and whether the logger is as we made it         written   and written to a file: what a request pays
    filter   written through the logger, because a filter is on it; Gunicorn's way, with our lazy atoms

Run: `.venv/bin/python benchmarks/access_log.py`. The fastest of several rounds is printed, as timeit advises.
"""

import logging
import os
import tempfile
import timeit
from collections.abc import Callable

from ostler.lifecycle import RequestFinished
from ostler.observe.access import AccessLog, compile_format
from ostler.observe.handlers import MESSAGE, SinkHandler, StraightWay
from ostler.observe.sinks import LogFile, LogSink

DEFAULT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
FORMATS = {
    "default": DEFAULT,
    "with fields and times": DEFAULT + " %({x-request-id}i)s %({content-type}o)s %(D)s %(L)s %(p)s",
    "with widths": "%(h)-15s %(s)-5s %(D)8d %(r)s",
    "json": "json",
}
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
ROUNDS, LINES = 7, 50_000


class Nowhere:
    def write(self, line: str) -> None:
        pass


def finished(agent: str = AGENT) -> RequestFinished:
    fields = [("host", "example.org"), ("user-agent", agent), ("accept", "*/*"), ("referer", "https://example.org/")]
    fields += [(f"sec-fetch-{number}", "none") for number in range(8)] + [("x-request-id", "7f3a")]
    return RequestFinished(
        environ={"REMOTE_ADDR": "192.0.2.7", "HTTP_USER_AGENT": agent, "HTTP_REFERER": "https://example.org/"},
        request_fields=fields,
        status="200 OK",
        response_fields=[("Content-Type", "text/html; charset=utf-8"), ("Content-Length", "5120")],
        sent=5120,
        duration_s=0.004321,
        method="GET",
        target="/catalogue/items?page=3&order=price",
        protocol="HTTP/1.1",
    )


class HealthFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.args["U"] != "/health"


def way(sink: LogSink) -> StraightWay:
    logger = logging.Logger("gunicorn.access", logging.INFO)
    logger.manager = logging.root.manager
    logger.propagate = False
    logger.addHandler(SinkHandler(sink, logging.Formatter(MESSAGE)))
    found = StraightWay(logger)
    found.settle()
    assert found.straight() is not None
    return found


def microseconds(call: Callable[[], object], number: int = LINES) -> float:
    return min(timeit.repeat(call, number=number, repeat=ROUNDS)) / number * 1e6


def main() -> None:
    event, strange = finished(), finished(AGENT + ' "quoted"')
    with tempfile.TemporaryFile() as file:
        to_file = LogFile(os.dup(file.fileno()), "benchmark", 2)
        check = way(Nowhere())
        print(f"the check alone: {microseconds(check.straight, 1_000_000) * 1000:.0f} ns\n")
        print("us per line                format   escaped   checked   written    filter")
        for name, log_format in FORMATS.items():
            compiled = compile_format(log_format)
            filtered = way(to_file)
            filtered.logger.addFilter(HealthFilter())
            logs = [AccessLog(compiled, each) for each in (way(Nowhere()), way(to_file), filtered)]
            times = [microseconds(lambda each=each: compiled.line(each)) for each in (event, strange)]  # noqa: B023
            times += [microseconds(lambda log=log: log.request_finished(event)) for log in logs]
            print(f"{name:24}" + "".join(f"{each:10.2f}" for each in times))
        to_file.close()


if __name__ == "__main__":
    main()
