"""`http/errors.py`: what a client and the log are told."""

import pytest

from ostler.http.errors import HttpError, ResponseError, reason_phrase


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "Bad Request"),
        (408, "Request Timeout"),
        (414, "URI Too Long"),
        (417, "Expectation Failed"),
        (431, "Request Header Fields Too Large"),
        (501, "Not Implemented"),
        (505, "HTTP Version Not Supported"),
        (599, "Unknown"),
    ],
)
def test_reasons_are_the_standard_phrases(status: int, reason: str) -> None:
    assert reason_phrase(status) == reason
    assert HttpError(status).reason == reason


def test_the_detail_is_in_the_text_for_the_log() -> None:
    error = HttpError(400, detail="two Host fields")
    assert (error.status, error.detail) == (400, "two Host fields")
    assert str(error) == "400 Bad Request: two Host fields"
    assert str(HttpError(400)) == "400 Bad Request"


def test_a_response_error_is_a_value_error() -> None:
    assert issubclass(ResponseError, ValueError)
