"""What a WebSocket's client sends behind the handshake, in any pieces.

Promises: events do not depend on the pieces; the last event, and only it, is `Closed`; what is not compressed is read
as a plain reader of RFC 6455 reads it; no message is longer than the limit, compressed or not; what is answered are
whole frames, a pong for each ping that was told, and one close at the most.
"""

from collections.abc import Iterable
from typing import Final

from fuzz.corpus import LONGEST
from fuzz.finding import expect
from fuzz.reading import cut
from ostler.http.websocket import WebSocket
from ostler.http.websocket_deflate import DeflateTerms
from ostler.http.websocket_events import Binary, Closed, Event, Ping, Pong, Text
from tests.websocket.cases import CASES
from tests.websocket.wire import sent_frames

SETTINGS_BYTES: Final = 4
LIMITS: Final = (0, 10, 300, 5000)

_SQUEEZED, _RESET = 0x04, 0x08
"""Bits of byte 0, above which limit it is: compression is agreed on; without the client's window. 1 to 3: pieces."""

_MAY_DIFFER: Final = (1007, 1009)
"""A message may be both too long and malformed; which is seen first depends on the pieces."""


def check(data: bytes) -> None:
    """See the module."""
    settings, sent = data[:SETTINGS_BYTES].ljust(SETTINGS_BYTES, b"\0"), data[SETTINGS_BYTES:]
    limit = LIMITS[settings[0] & 3]
    squeezed = bool(settings[0] & _SQUEEZED)
    terms = DeflateTerms(client_reset=bool(settings[0] & _RESET)) if squeezed else None
    events = converse([sent], limit, terms)
    for pieces in (cut(sent, tuple(settings[1:])), [sent[at : at + 1] for at in range(len(sent))]):
        expect(told(converse(pieces, limit, terms)) == told(events), "pieces do not matter", events)
    for event in events:
        if limit and isinstance(event, Text | Binary):
            size = len(event.data.encode() if isinstance(event, Text) else event.data)
            expect(size <= limit, "no message is longer than the limit", size, limit)
    if not squeezed and not limit:
        expected = read_plainly(sent)
        found = [event for event in events if not isinstance(event, Closed)]
        expect(found == expected, "read as a plain reader reads it", found, expected)


def converse(pieces: Iterable[bytes], limit: int, terms: DeflateTerms | None) -> list[Event]:
    """All events; what is sent is looked at, too."""
    socket = WebSocket(limit, terms)
    events: list[Event] = []
    for piece in (*pieces, b""):
        socket.receive(piece)
        while (event := socket.next_event()) is not None:
            events.append(event)
    answers = sent_frames(socket.data_to_send())
    pongs = [frame.payload for frame in answers if frame.first == 0x8A]
    closes = [frame for frame in answers if frame.first == 0x88]
    expect(pongs == [event.data for event in events if isinstance(event, Ping)], "each ping has its pong", pongs)
    expect(len(pongs) + len(closes) == len(answers) and len(closes) <= 1, "pongs and one close", answers)
    expect([isinstance(event, Closed) for event in events].index(True) == len(events) - 1, "closed is last", events)
    return events


def told(events: list[Event]) -> list[object]:
    """Less what may depend on the pieces."""
    last = events[-1]
    differs = isinstance(last, Closed) and not last.by_client and last.code in _MAY_DIFFER
    return [*events[:-1], "bad" if differs else last]


def read_plainly(sent: bytes) -> list[Event]:
    """The events before the end or the first mistake, of frames that are not compressed."""
    events: list[Event] = []
    message, kind = b"", 0
    while len(sent) >= 2:
        first, size, header = sent[0], sent[1] & 127, 2
        opcode, fin = first & 15, first >= 128
        if not sent[1] & 128 or first & 0x70 or opcode not in (0, 1, 2, 8, 9, 10):
            break
        if (opcode >= 8 and (size > 125 or not fin)) or (opcode in (1, 2) and kind) or (not opcode and not kind):
            break
        if size > 125:
            header = 4 if size == 126 else 10
            size = int.from_bytes(sent[2:header])
            if size < (126 if header == 4 else 65536) or size >= 1 << 63:
                break
        payload, mask = sent[header + 4 : header + 4 + size], sent[header : header + 4]
        if len(sent) < header + 4 + size or opcode == 8:
            break
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        sent = sent[header + 4 + size :]
        if opcode >= 8:
            events.append(Ping(payload) if opcode == 9 else Pong(payload))
            continue
        kind, message = kind or opcode, message + payload
        if fin:
            try:
                events.append(Text(message.decode()) if kind == 1 else Binary(message))
            except UnicodeDecodeError:
                break
            message, kind = b"", 0
        elif kind == 1 and not begins_text(message):
            break
    return events


def begins_text(data: bytes) -> bool:
    """Whether something may follow that makes it UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True


def seeds(wellformed: bool) -> Iterable[bytes]:
    """The cases of the unit tests."""
    for number, case in enumerate(CASES):
        last = case.events[-1] if case.events else None
        if len(case.sent) <= LONGEST and not (wellformed and isinstance(last, Closed) and not last.by_client):
            yield bytes((_SQUEEZED if case.terms else 0, number % 7, number % 5, 0)) + case.sent
            if not wellformed:
                yield bytes((number % 16, 1, number % 9, 3)) + case.sent


def describe(data: bytes) -> str:
    """The input in words."""
    limit = LIMITS[data[0] & 3] if data else 0
    return f"limit={limit} squeezed={bool(data[:1] and data[0] & _SQUEEZED)} sent={data[SETTINGS_BYTES:].hex(' ')}"
