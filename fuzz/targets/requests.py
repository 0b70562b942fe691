"""HTTP/1 requests: any bytes, in any pieces, under several limits, with applications that read all, some or nothing.

Promises: the bytes make requests or one HttpError; those that are served are, one by one and byte for byte, those that
`reference/requests.py` reads, and within the limits; the outcome does not depend on the pieces, nor on a transfer of
the connection in between; nothing is served behind a refusal; what is held is bounded and the work linear; a head that
was accepted means the same when it is written again; the answers are as many as the requests.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from fuzz.client import COUNTS_LINES, ENDS, NEXT, READ_ALL, TRANSFERS, Client, Outcome, said
from fuzz.corpus import corpus_requests
from fuzz.finding import Finding, expect
from fuzz.metering import Meter, counted_lines
from fuzz.reading import COARSE, PLAIN, SETTINGS_BYTES, read_input
from fuzz.reference.grammar import Broken, Incomplete
from fuzz.reference.requests import Request, read_request
from fuzz.reference.responses import read_response
from ostler.http.errors import HttpError
from ostler.http.head import RequestHead
from ostler.http.limits import STRICT, Leniency, Limits
from ostler.http.parse import parse_head

__all__ = ["SETTINGS_BYTES", "check", "describe", "seeds"]

_SMALL: Final = Limits(request_line=40, fields=5, field_size=60, body=40, trailer_bytes=30, chunk_extension_bytes=20)
_LENIENT: Final = Leniency(**dict.fromkeys(Leniency.__slots__, True))
LIMITS: Final = (
    Limits(),
    _SMALL,
    replace(Limits(), leniency=_LENIENT),
    replace(_SMALL, leniency=_LENIENT),
    Limits(request_line=0, fields=0, field_size=0),
)
"""Chosen by bits 0 to 2 of settings byte 0."""

UNREAD_BYTES: Final = 64 * 1024
TOUCHES_A_BYTE: Final = 40
LINES_A_BYTE: Final = 120
LONGEST_COUNTED: Final = 4096
"""Counting lines takes long; what is not linear shows in four thousand bytes."""


def check(data: bytes) -> None:
    """See the module."""
    reading = read_input(data)
    limits = LIMITS[(reading.choices[0] & 7) % len(LIMITS)]
    choices = reading.choices
    manner = choices[1] & 3
    size = 1 + (choices[1] >> 2) * 1024 if choices[1] >= 4 else 65536
    stream = reading.stream

    whole = Client(limits, choices, READ_ALL, 65536).serve([stream] if stream else [])
    check_unserved(whole, stream, limits, *check_served(whole, stream, limits))
    check_answers(whole)
    for head, _, _ in whole.served:
        check_rewritten(head, limits)

    meter, lines = Meter(), Meter()
    client = Client(limits, choices, READ_ALL, 65536, meter)
    if choices[0] & COUNTS_LINES and len(stream) <= LONGEST_COUNTED:
        with counted_lines(lines):
            bytewise = client.serve(reading.bytewise())
        most = LINES_A_BYTE * (len(stream) + 40)
        expect(lines.count <= most, "the work is linear in the input", lines.count, most)
    else:
        bytewise = client.serve(reading.bytewise())
    most = TOUCHES_A_BYTE * (len(stream) + 40)
    expect(meter.count <= most, "each byte is looked at a bounded number of times", meter.count, most)
    expect(bytewise.comparable() == whole.comparable(), "byte by byte the outcome is the same", bytewise, whole)
    check_held(bytewise, limits, COARSE)

    split = Client(limits, choices, manner, size).serve(reading.pieces)
    check_held(split, limits, max(map(len, reading.pieces), default=0))
    check_answers(split)
    if manner == READ_ALL:
        expect(split.comparable() == whole.comparable(), "in these pieces the outcome is the same", split, whole)
    else:
        check_served(split, stream, limits)


def check_held(outcome: Outcome, limits: Limits, piece: int) -> None:
    """Beside the newest piece, never more is held than one head may have or the backlog limit says."""
    most = max(limits.head_bytes, UNREAD_BYTES) + piece
    expect(outcome.held_bytes <= most, "what is held is bounded", outcome.held_bytes, most)


def check_served(outcome: Outcome, stream: bytes, limits: Limits) -> tuple[int, bool]:
    """What was served is what the reference reads; where that ends, and whether more may follow."""
    lenient = limits.leniency is not STRICT
    at = 0
    alive = True
    for head, body, complete in outcome.served:
        expect(alive, "nothing is served behind the last request", head)
        try:
            request = read_request(stream, at, lenient, complete or head is not outcome.served[-1][0])
        except (Broken, Incomplete) as reason:
            raise Finding(f"served what is no complete request ({reason!r}): {head} {said(head)}") from None
        expect(said(head) == meant(request), "head and reference agree", said(head), meant(request))
        if request.body is not None:
            expect(body == request.body if complete else request.body.startswith(body), "the body is", body, request)
        expect(not over_limits(request, limits), "what is served is within the limits", request)
        if not complete and outcome.waits and head is outcome.served[-1][0]:
            check_left_body(stream, at, lenient)
        at = request.end
        alive = request.keep_alive
    return at, alive


def check_left_body(stream: bytes, at: int, lenient: bool) -> None:
    """The connection stays open behind a body that nobody read only if it is whole, or may still become so."""
    try:
        read_request(stream, at, lenient)
    except Incomplete:
        return
    except Broken as reason:
        raise Finding(f"behind a broken body the connection closes: {reason}") from None


def check_unserved(outcome: Outcome, stream: bytes, limits: Limits, at: int, alive: bool) -> None:
    """What was not served is no request, and what can only be refused was refused."""
    lenient = limits.leniency is not STRICT
    try:
        request = read_request(stream, at, lenient) if alive else None
    except Incomplete:
        return
    except Broken as reason:
        expect(not outcome.waits, f"a request that can only be refused is refused ({reason})", outcome)
        return
    if request is not None:
        expect(outcome.status is not None, "a complete request is served or refused", request)
        expect(over_limits(request, limits), "a good request within the limits is served", request, outcome)


def over_limits(request: Request, limits: Limits) -> bool:
    """Whether any part is larger than allowed."""
    return (
        0 < limits.request_line < request.line_bytes
        or 0 < limits.fields < request.field_count
        or 0 < limits.field_size < request.largest_field
        or 0 < limits.body < max(request.framing, len(request.body or b""))
        or limits.chunk_extension_bytes < request.extension_bytes
        or limits.trailer_bytes < request.trailer_bytes
    )


def meant(request: Request) -> dict[str, object]:
    """The same of a reference's request."""
    upgrade = None
    values = {name: ", ".join(v for n, v in request.fields if n == name) for name, _ in request.fields}
    if request.minor and "upgrade" in [word.strip(" \t").lower() for word in values.get("connection", "").split(",")]:
        upgrade = values.get("upgrade")
    return {
        "body_length": request.framing,
        "expect_continue": request.expects,
        "fields": request.fields,
        "host": request.host,
        "keep_alive": request.keep_alive,
        "method": request.method,
        "minor": request.minor,
        "params": None,
        "path": request.path,
        "query": request.query,
        "target": request.target,
        "upgrade": upgrade,
    }


def check_rewritten(head: RequestHead, limits: Limits) -> None:
    """Written in the plainest way, it is read as the same request, by the strictest parser."""
    lines = [f"{head.method} {head.target} HTTP/1.{head.minor}", *(f"{name}: {value}" for name, value in head.fields)]
    odd = limits.leniency is not STRICT
    unlimited = Limits(0, 0, 0, leniency=Leniency(permit_unconventional_http_method=odd))
    try:
        again = parse_head("\r\n".join(lines).encode("latin-1"), unlimited)
    except HttpError as error:
        raise Finding(f"an accepted head is refused when it is written again: {error}, {said(head)}") from None
    expect(said(again) == said(head), "an accepted head means the same when it is written again", said(head))


def check_answers(outcome: Outcome) -> None:
    """Each request has its answer, a refusal has one, and nothing else is on the wire."""
    at = 0
    methods = outcome.methods
    served = len(outcome.served)
    asked = sum(head.expect_continue for head, _, _ in outcome.served) + (outcome.status is not None) + outcome.waits
    expected = [*(200 for _ in outcome.served), *([outcome.status] if outcome.status else [])]
    found: list[int] = []
    try:
        while at < len(outcome.sent):
            method = methods[len(found)] if len(found) < len(methods) else "GET"
            response = read_response(outcome.sent, at, method)
            at = response.end
            if response.status == 100:
                asked -= 1
                continue
            if len(found) < served and not response.until_close and method != "HEAD":
                expect(response.body == b"%d" % len(found), "an answer belongs to its request", response)
            found.append(response.status)
    except (Broken, Incomplete) as reason:
        expect(outcome.aborted or outcome.waits, "answers are well-formed", reason, outcome.sent)
        return
    if outcome.aborted or outcome.waits:
        expect(found[:served] == expected[:served], "each request has its answer", found, expected)
    else:
        expect(found == expected, "each request has one answer", found, expected, outcome.sent)
    expect(asked >= 0, "100 Continue is sent once, and to whom waits for it", outcome.sent)


def seeds(wellformed: bool) -> Iterable[bytes]:
    """The corpus of the unit tests, and some of it under other settings."""
    for number, (request, accepted, limited) in enumerate(corpus_requests()):
        if wellformed:
            if accepted and not limited:
                yield PLAIN + request
            continue
        yield PLAIN + request
        yield bytes((number % 128, 1 + number % 7, 3, 50, number % 256, 0, 0, 0)) + request + NEXT


def describe(data: bytes) -> str:
    """An input in words."""
    reading = read_input(data)
    first, second = reading.choices
    return "\n".join(
        (
            f"limits: {LIMITS[(first & 7) % len(LIMITS)]}",
            f"end of input: {bool(first & ENDS)}; transfer: {bool(first & TRANSFERS)}; manner: {second & 3}",
            f"pieces: {[len(piece) for piece in reading.pieces[:20]]} of {len(reading.stream)} bytes",
            f"stream: {reading.stream[:4000]!r}",
        )
    )
