"""The table of cases.py against the core: whole, byte by byte, with garbage behind; and what a row is answered with."""

import pytest

from ostler.http.websocket import State, WebSocket
from ostler.http.websocket_events import Closed, Event, Ping
from tests.websocket.cases import CASES, Case
from tests.websocket.wire import sent_frames


def run(case: Case, pieces: list[bytes]) -> tuple[list[Event], WebSocket]:
    socket = WebSocket(case.limit, case.terms)
    events: list[Event] = []
    for piece in pieces:
        socket.receive(piece)
        while (event := socket.next_event()) is not None:
            events.append(event)
    return events, socket


def plain(events: list[Event]) -> list[Event]:
    """Without our own words."""
    return [Closed(each.code, "") if isinstance(each, Closed) and not each.by_client else each for each in events]


def check(case: Case, pieces: list[bytes]) -> None:
    events, socket = run(case, pieces)
    assert plain(events) == list(case.events)
    ended = isinstance(case.events[-1], Closed)
    assert socket.state is (State.CLOSED if ended else State.OPEN)
    expected = []
    for event in case.events:
        match event:
            case Ping(data):
                expected.append((0x8A, data))
            case Closed(1005, _, True):
                expected.append((0x88, b""))
            case Closed(code):
                expected.append((0x88, code.to_bytes(2, "big")))
    frames = sent_frames(socket.data_to_send())
    assert [(frame.first, frame.payload[:2] if frame.opcode == 8 else frame.payload) for frame in frames] == expected
    for frame in frames:
        frame.payload[2:].decode("utf-8" if frame.opcode == 8 else "latin-1")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_row_holds_however_it_arrives(case: Case) -> None:
    sent = case.sent
    check(case, [sent])
    if len(sent) < 5000:
        check(case, [sent[at : at + 1] for at in range(len(sent))])
    else:
        check(case, [sent[at : at + 1000] for at in range(0, len(sent), 1000)])
    middle = len(sent) // 2
    check(case, [sent[:middle], sent[middle:]])
    if isinstance(case.events[-1], Closed):
        check(case, [sent + b"\xff" * 50])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_connection_that_breaks_after_a_row_is_lost(case: Case) -> None:
    events, _ = run(case, [case.sent, b""])
    if isinstance(case.events[-1], Closed):
        assert plain(events) == list(case.events)
    else:
        assert plain(events) == [*case.events, Closed(1006, "")]


def test_there_are_more_than_two_hundred_cases() -> None:
    assert len({case.id for case in CASES}) == len(CASES) > 200
