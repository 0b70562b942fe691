"""`http/encode.py`: dates, status lines, checked fields, error responses."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostler.http.encode import (
    DateField,
    Said,
    encode_fields,
    encode_head,
    encode_trailers,
    error_response,
    imf_fixdate,
    status_lines,
)
from ostler.http.errors import HttpError, ResponseError

Fields = list[tuple[str, str]]


def test_the_date_of_rfc_9110() -> None:
    assert imf_fixdate(784111777) == b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert imf_fixdate(0) == b"Thu, 01 Jan 1970 00:00:00 GMT"
    assert imf_fixdate(1709164800) == b"Thu, 29 Feb 2024 00:00:00 GMT"


@given(st.integers(0, 253402300799))
def test_dates_are_those_of_the_standard_library(epoch_s: int) -> None:
    expected = format_datetime(datetime.fromtimestamp(epoch_s, UTC), usegmt=True)
    assert imf_fixdate(epoch_s).decode() == expected


def test_a_date_field_is_set_as_time_goes_by() -> None:
    date = DateField(0)
    date.set(784111777)
    assert date.value == b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert date.with_server == b"Server: ostler\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


def test_status_lines() -> None:
    assert status_lines[200, "OK"] == b"HTTP/1.1 200 OK\r\n"
    assert status_lines[299, ""] == b"HTTP/1.1 299 \r\n"
    assert status_lines[404, "Pas trouv\xe9"] == b"HTTP/1.1 404 Pas trouv\xe9\r\n"


@pytest.mark.parametrize(
    "key",
    [
        (99, "x"),
        (1000, "x"),
        (200, "a\r\nX: y"),
        (200, "a\nb"),
        (200, "\0"),
        (200, "\u0161"),
        ("200", "OK"),
        (200, None),
    ],
)
def test_bad_status_lines_are_refused(key: tuple[int, str]) -> None:
    with pytest.raises(ResponseError):
        status_lines[key]


def test_fields_are_sent_as_they_are_and_framing_is_taken_out() -> None:
    said = Said()
    block = encode_fields(
        [("X-A", "1"), ("Content-Length", " 5 "), ("x-b", "caf\xe9"), ("Connection", "foo, Close")], said
    )
    assert block == b"X-A: 1\r\nx-b: caf\xe9\r\n"
    assert (said.length, said.close, said.switch) == (5, True, False)


def test_no_fields() -> None:
    assert encode_fields([], Said()) == b""


@pytest.mark.parametrize(
    "fields",
    [
        [("X", "a\r\nX: 1")],
        [("X", "a\nb")],
        [("X", "a\rb")],
        [("X", "a\0b")],
        [("X", "a\x1bb")],
        [("X", "a\x7fb")],
        [("X", "\u0161")],
        [("X", "\r\n")],
        [("X Y", "a")],
        [("X\r\n", "a")],
        [("X:", "a")],
        [("", "a")],
        [("caf\xe9", "a")],
        [("X", 1)],
        [("X", b"a")],
        [(b"X", "a")],
        [(["X"], "a")],
        [("X",)],
        [("X", "a", "b")],
        [None],
        [("Content-Length", "-1")],
        [("Content-Length", "")],
        [("Content-Length", "5_0")],
        [("Content-Length", "5"), ("content-length", "5")],
        [("Content-Length", 5)],
    ],
    ids=repr,
)
def test_fields_that_cannot_be_sent_are_refused(fields: Fields) -> None:
    with pytest.raises(ResponseError):
        encode_fields(fields, Said())


@pytest.mark.parametrize("name", ["Transfer-Encoding", "keep-alive", "TE", "Proxy-Authenticate"])
def test_fields_between_two_hops_are_dropped(name: str) -> None:
    said = Said()
    assert encode_fields([("X", "1"), (name, "chunked")], said) == b"X: 1\r\n"
    assert said.length is None


def test_the_text_of_the_error_has_the_name_and_not_the_value() -> None:
    with pytest.raises(ResponseError, match="X-Token") as caught:
        encode_fields([("X-Other", "ok"), ("X-Token", "secret\n")], Said())
    assert "secret" not in str(caught.value)


def test_server_and_date_are_added_unless_the_application_sent_them() -> None:
    date = DateField(784111777)

    def head(fields: Fields) -> bytes:
        said = Said()
        block = encode_fields(fields, said)
        return encode_head(b"S\r\n", block, said, b"", date)

    ours = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    assert head([]) == b"S\r\nServer: ostler\r\n" + ours + b"\r\n"
    assert head([("server", "x")]) == b"S\r\n" + ours + b"server: x\r\n\r\n"
    assert head([("Date", "y")]) == b"S\r\nServer: ostler\r\nDate: y\r\n\r\n"
    assert head([("Date", "y"), ("Server", "x")]) == b"S\r\nDate: y\r\nServer: x\r\n\r\n"


def test_trailers_are_fields() -> None:
    assert encode_trailers([("Server-Timing", "a;dur=5"), ("X-Sum", "1")]) == b"Server-Timing: a;dur=5\r\nX-Sum: 1\r\n"
    with pytest.raises(ResponseError):
        encode_trailers([("X-Sum", "1\r\nX: y")])


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Set-Cookie", "HOST", "Content-Type"])
def test_what_frames_or_steers_a_message_cannot_be_a_trailer(name: str) -> None:
    with pytest.raises(ResponseError, match=f"{name} cannot be a trailer"):
        encode_trailers([("X-Sum", "1"), (name, "1")])


def test_an_error_response_is_whole_and_closes() -> None:
    response = error_response(HttpError(431, "secret detail"), DateField(784111777), omit_body=False)
    assert response == (
        b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
        b"Server: ostler\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 36\r\nConnection: close\r\n\r\n"
        b"431 Request Header Fields Too Large\n"
    )
    assert error_response(HttpError(431), DateField(784111777), omit_body=True) == response[:-36]
