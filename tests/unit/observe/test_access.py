"""observe/access.py"""

import base64
import os
import time

import pytest

from ostler.errors import ConfigError
from ostler.lifecycle import RequestFinished
from ostler.observe.access import AccessLog

DEFAULT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
MOMENT = 1_795_256_838.75


class Lines(list):
    write = list.append


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
    AccessLog(log_format, lines, clock).request_finished(event or finished())
    return lines[0]


def test_the_default_format_gives_gunicorns_line():
    stamp = time.strftime("[%d/%b/%Y:%H:%M:%S %z]", time.localtime(MOMENT))
    expected = f'192.0.2.7 - - {stamp} "GET /a%20b?x=1 HTTP/1.1" 200 5120 "https://example.org/" "agent/1.0"'
    assert line(DEFAULT) == expected


@pytest.mark.parametrize(
    ("atom", "expected"),
    [
        ("h", "192.0.2.7"), ("l", "-"), ("u", "-"), ("r", "GET /a%20b?x=1 HTTP/1.1"), ("m", "GET"), ("U", "/a b"),
        ("q", "x=1"), ("H", "HTTP/1.1"), ("s", "200"), ("B", "5120"), ("b", "5120"), ("f", "https://example.org/"),
        ("a", "agent/1.0"), ("T", "3"), ("D", "3004321"), ("M", "3004"), ("L", "3.004321"), ("p", f"<{os.getpid()}>"),
        ("{Host}i", "example.org"), ("{X-ID}i", "last"), ("{none}i", "-"), ("{x-id}o", "out"),
        ("{CONTENT-TYPE}o", "text/plain"), ("{none}o", "-"), ("{remote_addr}e", "192.0.2.7"),
        ("{WSGI.url_scheme}e", "https"), ("{app.Tenant}e", "7"), ("{none}e", "-"), ("z", "-"), ("{x-id}z", "-"),
    ],
)  # fmt: skip
def test_each_atom(atom, expected):
    assert line(f"<%({atom})s>") == f"<{expected}>"


def test_what_is_missing_is_a_dash():
    event = finished(environ={}, sent=None, duration_s=0.0)
    assert line("%(h)s %(b)s %(B)s %(U)s %(q)s %(f)s %(a)s %(u)s %(L)s", event) == "- - - - - - - - 0.000000"


@pytest.mark.parametrize(
    ("log_format", "expected"),
    [
        ("%(s)-5s|", "200  |"), ("%(s)5s|", "  200|"), ("%(D)09d", "003004321"), ("%(M).1f", "3004.0"),
        ("%(a).5s", "agent"), ("100%% %(s)s %%(s)s", "100% 200 %(s)s"), ("no atoms", "no atoms"), ("", ""),
        ("%(D)-9s|%(m)s", "3004321  |GET"),
    ],
)  # fmt: skip
def test_the_format_follows_the_percent_operator(log_format, expected):
    assert line(log_format) == expected


def test_a_number_that_is_missing_does_not_break_a_numeric_format():
    assert line("%(B)d %(s)s", finished(sent=None)) == "- 200"


@pytest.mark.parametrize(
    ("log_format", "position"),
    [("%(h)s %q", 7), ("%", 1), ("%(h", 1), ("%s", 1), ("ab %(s)d", 4), ("%(h)*s", 1), ("50% %(h)s", 3), ("%(h)c", 1)],
)
def test_a_broken_format_is_refused_with_its_place(log_format, position):
    with pytest.raises(ConfigError, match=f"access_log_format: expected .* at character {position}$") as caught:
        AccessLog(log_format, Lines())
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
        assert line(f"%({atom})s", event) == expected
        assert line(f"%({atom})1s %(s)s", event) == f"{expected} 200"


def test_an_environ_value_that_is_no_text_is_printed_safely():
    class Loud:
        def __str__(self):
            return 'a\n"b"'

    assert line("%({x}e)s %({PATH_INFO}e)s", finished(environ={"x": Loud(), "PATH_INFO": None})) == 'a\\n\\"b\\" None'


def test_the_time_stamp_follows_the_clock():
    now = [MOMENT]
    lines = Lines()
    log = AccessLog("%(t)s", lines, lambda: now[0])
    for moment in (MOMENT, MOMENT + 0.2, MOMENT + 61, MOMENT):
        now[0] = moment
        log.request_finished(finished())
    assert lines[0] == lines[1] == lines[3]
    assert lines[2] == time.strftime("[%d/%b/%Y:%H:%M:%S %z]", time.localtime(MOMENT + 61))
