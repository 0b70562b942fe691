"""observe/access.py"""

import base64
import json
import logging
import os
import time

import pytest

from ostler.errors import ConfigError
from ostler.lifecycle import RequestFinished
from ostler.observe.access import AccessLog, Skipping, compile_format

DEFAULT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
MOMENT = 1_795_256_838.75


class Lines(list):
    write = list.append


class StraightTo:
    """A way that is always open."""

    logger = None

    def __init__(self, lines):
        self.lines = lines

    def straight(self):
        return (self.lines.write,)


class Through:
    """The way through a logger whose handlers are the user's."""

    def __init__(self, *filters):
        self.logger = logging.Logger("gunicorn.access", logging.INFO)
        self.records, self.lines = [], []
        self.logger.addHandler(self)
        for each in filters:
            self.logger.addFilter(each)

    level = 0

    def handle(self, record):
        self.records.append(record)
        self.lines.append(record.getMessage())

    def straight(self):
        return None


def finished(**changes):
    values = {
        "environ": {
            "REMOTE_ADDR": "192.0.2.7",
            "PATH_INFO": "/a b",
            "QUERY_STRING": "x=1",
            "HTTP_REFERER": "https://example.org/",
            "HTTP_USER_AGENT": "agent/1.0",
            "wsgi.url_scheme": "https",
            "app.Tenant": 7,
        },
        "request_fields": [("host", "example.org"), ("x-id", "first"), ("x-id", "last")],
        "status": "200 OK",
        "response_fields": [("Content-Type", "text/plain"), ("X-Id", "out")],
        "sent": 5120,
        "duration_s": 3.004321,
        "method": "GET",
        "target": "/a%20b?x=1",
        "protocol": "HTTP/1.1",
    }
    return RequestFinished(**(values | changes))


def line(log_format, event=None, clock=lambda: MOMENT):
    lines = Lines()
    AccessLog(compile_format(log_format, clock), StraightTo(lines)).request_finished(event or finished())
    return lines[0]


def through(log_format, event=None, way=None):
    """The same line by the other way."""
    way = way or Through()
    AccessLog(compile_format(log_format, lambda: MOMENT), way).request_finished(event or finished())
    return way.lines[0] if way.lines else None


def test_the_default_format_gives_gunicorns_line():
    stamp = time.strftime("[%d/%b/%Y:%H:%M:%S %z]", time.localtime(MOMENT))
    expected = f'192.0.2.7 - - {stamp} "GET /a%20b?x=1 HTTP/1.1" 200 5120 "https://example.org/" "agent/1.0"'
    assert line(DEFAULT) == expected


@pytest.mark.parametrize(
    ("atom", "expected"),
    [
        ("h", "192.0.2.7"), ("l", "-"), ("u", "-"), ("r", "GET /a%20b?x=1 HTTP/1.1"), ("m", "GET"), ("U", "/a b"),
        ("q", "x=1"), ("H", "HTTP/1.1"), ("s", "200"), ("B", "5120"), ("b", "5120"), ("f", "https://example.org/"),
        ("a", "agent/1.0"), ("T", "3"), ("D", "3004321"), ("M", "3004"), ("L", "3.004321"), ("p", "<PID>"),
        ("{Host}i", "example.org"), ("{X-ID}i", "last"), ("{none}i", "-"), ("{x-id}o", "out"),
        ("{CONTENT-TYPE}o", "text/plain"), ("{none}o", "-"), ("{remote_addr}e", "192.0.2.7"),
        ("{WSGI.url_scheme}e", "https"), ("{app.Tenant}e", "7"), ("{none}e", "-"), ("z", "-"), ("{x-id}z", "-"),
    ],
)  # fmt: skip
def test_each_atom(atom, expected):
    expected = expected.replace("PID", str(os.getpid()))
    assert line(f"<%({atom})s>") == through(f"<%({atom})s>") == f"<{expected}>"


def test_what_is_missing_is_a_dash():
    event = finished(environ={}, sent=None, duration_s=0.0)
    log_format = "%(h)s %(b)s %(B)s %(U)s %(q)s %(f)s %(a)s %(u)s %(L)s"
    assert line(log_format, event) == through(log_format, event) == "- - - - - - - - 0.000000"


@pytest.mark.parametrize(
    ("log_format", "expected"),
    [
        ("%(s)-5s|", "200  |"), ("%(s)5s|", "  200|"), ("%(D)09d", "003004321"), ("%(M).1f", "3004.0"),
        ("%(a).5s", "agent"), ("100%% %(s)s %%(s)s", "100% 200 %(s)s"), ("no atoms", "no atoms"), ("", ""),
        ("%(D)-9s|%(m)s", "3004321  |GET"),
    ],
)  # fmt: skip
def test_the_format_follows_the_percent_operator(log_format, expected):
    assert line(log_format) == through(log_format) == expected


def test_a_number_that_is_missing_does_not_break_a_numeric_format():
    event = finished(sent=None)
    assert line("%(B)d %(s)s", event) == through("%(B)d %(s)s", event) == "- 200"


@pytest.mark.parametrize(
    ("log_format", "position"),
    [("%(h)s %q", 7), ("%", 1), ("%(h", 1), ("%s", 1), ("ab %(s)d", 4), ("%(h)*s", 1), ("50% %(h)s", 3), ("%(h)c", 1)],
)
def test_a_broken_format_is_refused_with_its_place(log_format, position):
    with pytest.raises(ConfigError, match=f"access_log_format: expected .* at character {position}$") as caught:
        compile_format(log_format)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        ("Basic " + base64.b64encode(b"ada:secret").decode(), "ada"),
        ("basic   " + base64.b64encode("jos\u00e9:x".encode()).decode(), "jos\u00e9"),
        ("Basic " + base64.b64encode(b"ada").decode(), "ada"),
        ("Basic " + base64.b64encode(b":secret").decode(), "-"),
        ("Basic " + base64.b64encode(b"\xff\xfe:x").decode(), "-"),
        ("Basic abc", "-"),
        ("Basic", "-"),
        ("Bearer abcd", "-"),
        ("Basic " + base64.b64encode(b"eve\n127.0.0.1:x").decode(), "eve\\n127.0.0.1"),
    ],
)
def test_the_user_comes_from_basic_credentials(credentials, expected):
    assert line("%(u)s", finished(environ={"HTTP_AUTHORIZATION": credentials})) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('say "hi"', 'say \\"hi\\"'),
        ("two\nlines\r\n", "two\\nlines\\r\\n"),
        ("\x1b[31m\x00\x7f\x85", "\\x1b[31m\\x00\\x7f\\x85"),
        ("caf\xe9", "caf\xe9"),
        ("\u20ac \u2028 \udcff", "\\u20ac \\u2028 \\udcff"),
    ],
)
def test_no_value_can_end_a_line_or_its_quotes(value, expected):
    event = finished(
        environ={"PATH_INFO": value, "HTTP_USER_AGENT": value},
        request_fields=[("x-id", value)],
        response_fields=[("x-id", value)],
    )
    for atom in ("U", "a", "{x-id}i", "{x-id}o", "{PATH_INFO}e"):
        assert line(f"%({atom})s", event) == through(f"%({atom})s", event) == expected
        assert line(f"%({atom})1s %(s)s", event) == f"{expected} 200"


def test_an_environ_value_that_is_no_text_is_printed_safely():
    class Loud:
        def __str__(self):
            return 'a\n"b"'

    assert line("%({x}e)s %({PATH_INFO}e)s", finished(environ={"x": Loud(), "PATH_INFO": None})) == 'a\\n\\"b\\" None'


def test_an_environ_value_that_cannot_be_printed_costs_no_request():
    class Broken:
        def __str__(self):
            raise ZeroDivisionError

    lines, told = Lines(), Through()
    logging.getLogger("gunicorn.error").addHandler(told)
    try:
        event = finished(environ={"PATH_INFO": Broken()})
        for log_format in ("%(U)s", "json"):
            Skipping(AccessLog(compile_format(log_format), StraightTo(lines)), ("/x",)).request_finished(event)
    finally:
        logging.getLogger("gunicorn.error").removeHandler(told)
    assert lines == []
    assert ["ZeroDivisionError" in line for line in told.lines] == [True, True]


def test_the_time_stamp_follows_the_clock():
    now = [MOMENT]
    lines = Lines()
    log = AccessLog(compile_format("%(t)s", lambda: now[0]), StraightTo(lines))
    for moment in (MOMENT, MOMENT + 0.2, MOMENT + 61, MOMENT):
        now[0] = moment
        log.request_finished(finished())
    assert lines[0] == lines[1] == lines[3]
    assert lines[2] == time.strftime("[%d/%b/%Y:%H:%M:%S %z]", time.localtime(MOMENT + 61))


def test_a_filter_reads_the_atoms_and_the_message_and_decides():
    seen = []

    def health(record):
        seen.append((record.args["U"], record.args.get("s"), record.getMessage()))
        return record.args["U"] != "/health"

    way = Through(health)
    assert through("%(m)s %(U)s %(s)s", way=way) == "GET /a b 200"
    through("%(m)s %(U)s", finished(environ={"PATH_INFO": "/health"}), way)
    assert way.lines == ["GET /a b 200"]
    assert seen == [("/a b", "200", "GET /a b 200"), ("/health", "200", "GET /health")]


def test_the_message_of_a_record_is_the_format_as_gunicorns():
    way = Through()
    through(DEFAULT, way=way)
    assert (way.records[0].msg, way.records[0].name, way.records[0].levelname) == (DEFAULT, "gunicorn.access", "INFO")


def test_a_filter_that_raises_costs_no_request_and_is_told_once_a_minute():
    now = [0.0]

    def broken(record):
        raise KeyError("broken filter")

    log = AccessLog(compile_format(DEFAULT), Through(broken), lambda: now[0])
    told = Through()
    error = logging.getLogger("gunicorn.error")
    error.addHandler(told)
    try:
        for moment in (0.0, 59.9, 60.0):
            now[0] = moment
            log.request_finished(finished())
    finally:
        error.removeHandler(told)
    first, second = told.lines
    assert first.startswith("access log line lost, a filter or handler of gunicorn.access raised times=1\n")
    assert "KeyError: 'broken filter'" in first
    assert "times=2" in second


@pytest.mark.parametrize(
    ("path", "heard"),
    [
        ("/health", False), ("/health/", True), ("/healthy", True), ("/static/a.css", False), ("/static", True),
        ("/", True),
    ],
)  # fmt: skip
def test_skipped_paths_are_whole_or_beginnings(path, heard):
    lines = Lines()
    log = Skipping(AccessLog(compile_format("%(r)s"), StraightTo(lines)), ("/health", "/static/*"))
    log.request_finished(finished(environ={"PATH_INFO": path}))
    log.request_finished(finished(environ={}, target=f"{path}?q=/"))
    assert len(lines) == (2 if heard else 0)


def test_json_has_the_same_keys_for_each_request():
    event = finished(
        environ={
            "REMOTE_ADDR": "192.0.2.7", "PATH_INFO": "/caf\xc3\xa9", "QUERY_STRING": "x=1", "HTTP_REFERER": 'a"b',
            "HTTP_USER_AGENT": "agent\n", "HTTP_HOST": "example.org", "HTTP_X_REQUEST_ID": "7f3a",
            "HTTP_AUTHORIZATION": "Basic " + base64.b64encode(b"ada:x").decode(),
        },
    )  # fmt: skip
    expected = {
        "time": json.loads(line("json", event))["time"], "remote_addr": "192.0.2.7", "user": "ada", "method": "GET",
        "path": "/caf\xe9", "query": "x=1", "protocol": "HTTP/1.1", "status": 200, "bytes": 5120,
        "duration_ms": 3004.321, "referer": 'a"b', "user_agent": "agent\n", "host": "example.org", "pid": os.getpid(),
        "request_id": "7f3a",
    }  # fmt: skip
    assert json.loads(line("json", event)) == expected
    bare = json.loads(line("json", finished(environ={}, sent=None, status="")))
    del expected["request_id"]
    told = {name: bare[name] for name in ("time", "method", "protocol", "duration_ms", "pid")}
    assert bare == dict.fromkeys(expected) | told | {"path": "/a%20b", "query": "x=1"}


@pytest.mark.parametrize(
    "value", ["\xff\xfe", "\udcff", "a\nb\r", "\u2028", "\x00\x7f", '"\\', "100%s %(h)s", 7, b"raw"]
)
def test_json_is_one_safe_line_whatever_clients_send(value):
    event = finished(environ={"PATH_INFO": value, "HTTP_USER_AGENT": value}, target="/%00", method="GET")
    text = line("json", event)
    assert text.isascii()
    assert "\n" not in text
    assert json.loads(text)["user_agent"] == (value if isinstance(value, str) else str(value))
    assert through("json", event) == text


def test_json_tells_the_time_with_its_offset():
    found = json.loads(line("json"))["time"]
    local = time.localtime(MOMENT)
    zone = time.strftime("%z", local)
    assert found == time.strftime("%Y-%m-%dT%H:%M:%S.750", local) + f"{zone[:3]}:{zone[3:]}"
