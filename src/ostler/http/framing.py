"""Where a body ends, the request's and the response's, and what Connection and Expect fields decide.

Editing rules: every doubt about a body's end is an error: what one reader takes for a body, another takes for the next
request. Where RFC 9112 leaves the choice between an error and a guess, this file has the error.
Anchors: RFC 9112 sections 6.1, 6.3, 7 and 9.3; RFC 9110 sections 7.6.1, 7.8, 8.6 and 10.1.1.
"""

from collections.abc import Iterable
from enum import Enum, auto
from typing import Final

from ostler.http.errors import HttpError, ResponseError
from ostler.http.grammar import TOKEN, Memo
from ostler.http.head import CHUNKED, RequestHead

_KNOWN_CODINGS: Final = frozenset(("gzip", "x-gzip", "deflate", "compress", "x-compress"))
_LARGEST_LENGTH: Final = 2**63 - 1

DECIDING: Final = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"),
)
"""The fields that decide what a message is; parse.py reads them, and every other field is the application's."""


def content_length(value: str) -> int:
    """A Content-Length field's value: 1*DIGIT, nothing else, of a size that a file may have.

    Raises:
        HttpError: 400.
    """
    if len(value) <= 19 and value.isascii() and value.isdigit():
        length = int(value)
        if length <= _LARGEST_LENGTH:
            return length
    raise HttpError(400, "Content-Length must be one decimal number below 2^63")


def check_transfer_encoding(value: str) -> None:
    """Accept `chunked` (in any case) and nothing else.

    Raises:
        HttpError: 501 for a coding that we do not have, 400 for a list whose body has no certain end.
    """
    if value.lower() == "chunked":
        return
    codings = [coding.strip(" \t").lower() for coding in value.split(",")]
    if not all(TOKEN.fullmatch(coding) for coding in codings):
        raise HttpError(400, "Transfer-Encoding must be a list of tokens")
    if "chunked" in codings[:-1] or "identity" in codings:
        raise HttpError(400, "chunked must be the last transfer coding, once")
    if _KNOWN_CODINGS.issuperset(codings):
        raise HttpError(400, "a request's last transfer coding must be chunked")
    raise HttpError(501, "no transfer coding but chunked is decoded")


def body_length(transfer_encoding: str | None, length: str | None, minor: int) -> int:
    """The framing of a request's body: 0, a length, or CHUNKED.

    Raises:
        HttpError: 400 or 501.
    """
    if transfer_encoding is not None:
        check_transfer_encoding(transfer_encoding)
        if minor == 0:
            raise HttpError(400, "Transfer-Encoding in an HTTP/1.0 request")
        if length is not None:
            raise HttpError(400, "both Transfer-Encoding and Content-Length")
        return CHUNKED
    return 0 if length is None else content_length(length)


def _connection_options(value: str) -> frozenset[str]:
    return frozenset(option.strip(" \t").lower() for option in value.split(","))


connection_options: Final[Memo[str, frozenset[str]]] = Memo(_connection_options, ("keep-alive", "close"), 64)
"""A Connection field's value -> its options in lower case. What is no token is kept: it names no option of ours."""


def expects_continue(value: str) -> bool:
    """Whether an Expect field asks for 100 Continue. Empty elements of the list count for nothing (RFC 9110 5.6.1).

    Raises:
        HttpError: 417 for any other expectation.
    """
    expectations = {expectation.strip(" \t").lower() for expectation in value.split(",")}
    if not expectations <= {"100-continue", ""}:
        raise HttpError(417, "the only expectation that is met is 100-continue")
    return "100-continue" in expectations


def accepts_trailers(fields: Iterable[tuple[str, str]]) -> bool:
    """Whether a request's fields say that its client takes trailers (RFC 9110 section 6.5.1: TE: trailers)."""
    return any(name == "te" and "trailers" in connection_options[value] for name, value in fields)


class ResponseFraming(Enum):
    """How the end of a response's body is found."""

    NO_BODY = auto()
    """Nothing that the application writes is sent: HEAD, 1xx, 204, 304."""
    LENGTH = auto()
    CHUNKED = auto()
    CLOSE = auto()
    """The end of the connection is the end of the body: for HTTP/1.0 without a length."""
    BROKEN = auto()
    """It fell short of its Content-Length: only restart or abort can follow."""


def response_framing(
    head: RequestHead, status: int, length: int | None, body_length: int | None
) -> tuple[ResponseFraming, int | None]:
    """The framing of a response, and the Content-Length that it is sent with.

    `length` is the application's Content-Length, `body_length` what its adapter knows of the body.

    Raises:
        ResponseError: the two disagree.
    """
    if status < 200 or status == 204:
        return ResponseFraming.NO_BODY, None
    if status == 304:
        return ResponseFraming.NO_BODY, length
    if head.method == "HEAD":
        # An empty body is what most frameworks make of HEAD: it does not tell what GET would have had.
        return ResponseFraming.NO_BODY, length if length is not None else body_length or None
    if length is None:
        length = body_length
    elif body_length is not None and body_length != length:
        raise ResponseError(f"Content-Length is {length}, but the body has {body_length} bytes")
    if length is not None:
        return ResponseFraming.LENGTH, length
    return (ResponseFraming.CHUNKED if head.minor else ResponseFraming.CLOSE), None
