"""Microseconds that one access-log line costs: formatting alone, and with the write to a file.

Run: `.venv/bin/python benchmarks/access_log.py`. The fastest of several rounds is printed, as timeit advises.
"""

import os
import tempfile
import timeit

from ostler.lifecycle import RequestFinished
from ostler.observe.access import AccessLog
from ostler.observe.logs import LogFile

DEFAULT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
FORMATS = {
    "default": DEFAULT,
    "with fields and times": DEFAULT + " %({x-request-id}i)s %({content-type}o)s %(D)s %(L)s %(p)s",
    "with widths": "%(h)-15s %(s)-5s %(D)8d %(r)s",
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


def microseconds(log: AccessLog, event: RequestFinished) -> float:
    return min(timeit.repeat(lambda: log.request_finished(event), number=LINES, repeat=ROUNDS)) / LINES * 1e6


def main() -> None:
    event, strange = finished(), finished(AGENT + ' "quoted"')
    with tempfile.TemporaryFile() as file:
        to_file = LogFile(os.dup(file.fileno()), "benchmark", 2)
        print("us per line                format   escaped   format and write")
        for name, log_format in FORMATS.items():
            alone, written = AccessLog(log_format, Nowhere()), AccessLog(log_format, to_file)
            times = (microseconds(alone, event), microseconds(alone, strange), microseconds(written, event))
            print(f"{name:24}" + "".join(f"{each:10.2f}" for each in times))


if __name__ == "__main__":
    main()
