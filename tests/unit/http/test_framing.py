"""`http/framing.py`: where bodies end. The corpus has the requests; here are the response's rules."""

import pytest

from ostler.http.errors import HttpError, ResponseError
from ostler.http.framing import (
    ResponseFraming,
    body_length,
    check_transfer_encoding,
    connection_options,
    content_length,
    expects_continue,
    response_framing,
)
from ostler.http.head import CHUNKED
from ostler.http.limits import Limits
from ostler.http.parse import parse_head

GET = parse_head(b"GET / HTTP/1.1\r\nHost: a", Limits())
HEAD = parse_head(b"HEAD / HTTP/1.1\r\nHost: a", Limits())
OLD = parse_head(b"GET / HTTP/1.0", Limits())


def test_content_length_is_digits_below_2_to_the_63() -> None:
    assert content_length("0") == 0
    assert content_length(str(2**63 - 1)) == 2**63 - 1
    for value in ("", "-1", "+1", "1_0", " 1", "1 ", "0x1", "1.0", "\xb2", str(2**63), "9" * 5000):
        with pytest.raises(HttpError) as caught:
            content_length(value)
        assert caught.value.status == 400


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("identity", 400),
        ("chunked, gzip", 400),
        ("gzip", 400),
        ("br", 501),
        ("gzip, chunked", 501),
        ("", 400),
    ],
)
def test_no_transfer_coding_but_chunked(value: str, status: int) -> None:
    with pytest.raises(HttpError) as caught:
        check_transfer_encoding(value)
    assert caught.value.status == status


def test_a_request_body_has_one_framing() -> None:
    assert body_length(None, None, 1) == 0
    assert body_length(None, "7", 0) == 7
    assert body_length("Chunked", None, 1) == CHUNKED
    for transfer_encoding, length, minor in (("chunked", "7", 1), ("chunked", None, 0)):
        with pytest.raises(HttpError):
            body_length(transfer_encoding, length, minor)


def test_connection_options_are_tokens_in_lower_case() -> None:
    assert connection_options["Foo,\tCLOSE ,"] == {"foo", "close", ""}


def test_only_100_continue_is_expected() -> None:
    assert expects_continue("100-Continue")
    assert expects_continue("100-continue, ,100-continue,")
    assert not expects_continue("")
    for value in ("100-continue;q=1", "x", "100-continue, x"):
        with pytest.raises(HttpError) as caught:
            expects_continue(value)
        assert caught.value.status == 417


def test_responses_without_a_body() -> None:
    for status in (101, 204):
        assert response_framing(GET, status, 5, 5) == (ResponseFraming.NO_BODY, None)
    assert response_framing(GET, 304, None, 0) == (ResponseFraming.NO_BODY, None)
    assert response_framing(GET, 304, 7, 0) == (ResponseFraming.NO_BODY, 7)
    assert response_framing(HEAD, 200, 7, 0) == (ResponseFraming.NO_BODY, 7)
    assert response_framing(HEAD, 200, None, 7) == (ResponseFraming.NO_BODY, 7)
    assert response_framing(HEAD, 200, None, 0) == (ResponseFraming.NO_BODY, None)


def test_responses_with_a_body() -> None:
    assert response_framing(GET, 200, 7, None) == (ResponseFraming.LENGTH, 7)
    assert response_framing(GET, 200, None, 0) == (ResponseFraming.LENGTH, 0)
    assert response_framing(GET, 200, None, None) == (ResponseFraming.CHUNKED, None)
    assert response_framing(OLD, 200, None, None) == (ResponseFraming.CLOSE, None)
    with pytest.raises(ResponseError):
        response_framing(GET, 200, 5, 10)
