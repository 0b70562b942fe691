"""A server's side of a connection: what it sends, how it ends, and that no splitting of bytes makes a difference.

What it makes of a client's frames is tests/websocket/cases.py.
"""

import tracemalloc
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostler.http.websocket import State, WebSocket
from ostler.http.websocket_deflate import DeflateTerms
from ostler.http.websocket_events import Binary, Closed, Event, Ping, Pong, Text
from tests.unit.http.counting import CountingReceived, Work
from tests.websocket.wire import (
    Sent,
    binary,
    close,
    frame,
    inflated,
    last,
    more,
    ping,
    pong,
    sent_frames,
    squeeze,
    text,
)

DEFLATE = DeflateTerms()


def events_of(socket: WebSocket, *pieces: bytes) -> list[Event]:
    """What `pieces` make, received one after the other."""
    found = []
    for piece in pieces:
        socket.receive(piece)
        while (event := socket.next_event()) is not None:
            found.append(event)
    return found


# -- sending -------------------------------------------------------------------------------------------------------


def test_messages_are_sent_in_one_frame_each() -> None:
    socket = WebSocket()
    socket.send_text("héllo")
    socket.send_binary(b"\0" * 70_000)
    socket.ping(b"?")
    frames = [(each.first, each.payload) for each in sent_frames(socket.data_to_send())]
    assert frames == [(0x81, "héllo".encode()), (0x82, b"\0" * 70_000), (0x89, b"?")]
    assert socket.data_to_send() == b""


def test_messages_are_compressed_where_that_was_agreed_on_and_worth_it() -> None:
    socket = WebSocket(0, DEFLATE)
    messages = ["short", "a longer message " * 10, "a longer message " * 10, ""]
    for message in messages:
        socket.send_text(message)
    frames = sent_frames(socket.data_to_send())
    assert [each.first for each in frames] == [0x81, 0xC1, 0xC1, 0x81]
    assert [each.decode() for each in inflated([frames[1].payload, frames[2].payload], 12)] == messages[1:3]
    assert len(frames[2].payload) < len(frames[1].payload) < 60


def test_a_text_that_is_no_unicode_is_refused_and_nothing_sent() -> None:
    socket = WebSocket()
    with pytest.raises(ValueError, match="surrogates"):
        socket.send_text("\ud800")
    assert socket.data_to_send() == b""


def test_a_ping_of_more_than_125_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="125"):
        WebSocket().ping(b"x" * 126)


# -- closing -------------------------------------------------------------------------------------------------------


def test_our_close_waits_for_the_clients() -> None:
    socket = WebSocket()
    socket.close(1001, "bye")
    assert socket.data_to_send() == b"\x88\x05\x03\xe9bye"
    assert socket.state is State.CLOSING
    assert events_of(socket, text("too late"), close(1001)) == [Closed(1001, "", by_client=True)]
    assert socket.state is State.CLOSED
    assert socket.data_to_send() == b"", "a close frame is answered once"


def test_nothing_is_said_behind_our_close() -> None:
    socket = WebSocket()
    socket.close(1000)
    assert socket.data_to_send()
    with pytest.raises(RuntimeError, match="closed"):
        socket.send_text("x")
    with pytest.raises(RuntimeError, match="closed"):
        socket.send_binary(b"x")
    socket.ping(b"x")
    socket.close(1011)
    assert events_of(socket, ping(b"x")) == []
    assert socket.data_to_send() == b""


def test_what_arrives_after_our_close_is_thrown_away_unlooked_at() -> None:
    socket = WebSocket(100, DEFLATE)
    assert events_of(socket, text("a", fin=False)) == []
    socket.close(1000)
    late = [last(b"\xff"), binary(b"x" * 1000), frame(0xC1, b"\xff\xff"), text("a", False), ping(), last("b")]
    assert events_of(socket, *late, pong(b"p"), close(1000)) == [Pong(b"p"), Closed(1000, "", by_client=True)]


def test_a_mistake_after_our_close_ends_it_without_a_word() -> None:
    socket = WebSocket()
    socket.close(1000)
    socket.data_to_send()
    (closed,) = events_of(socket, b"\xff\xff")
    assert isinstance(closed, Closed)
    assert closed.code == 1002
    assert socket.data_to_send() == b""


def test_the_end_of_the_transport_is_the_last_event() -> None:
    socket = WebSocket()
    assert events_of(socket, text("a") + text("b")[:3], b"") == [Text("a"), Closed(1006, "")]
    assert events_of(socket, text("c"), b"") == []
    assert socket.data_to_send() == b""


def test_messages_that_came_before_the_end_are_not_lost() -> None:
    socket = WebSocket()
    socket.receive(text("a") + text("b"))
    socket.receive(b"")
    assert [socket.next_event() for _ in range(4)] == [Text("a"), Text("b"), Closed(1006, ""), None]


def test_what_is_not_asked_for_is_kept_as_it_came() -> None:
    socket = WebSocket()
    socket.receive(text("a") * 100)
    assert socket.next_event() == Text("a")
    assert socket.buffered == 99 * len(text("a"))


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 2000, 5000, 70_000])
def test_a_close_code_that_must_not_be_sent_is_refused(code: int) -> None:
    socket = WebSocket()
    with pytest.raises(ValueError, match="close code"):
        socket.close(code)
    assert socket.state is State.OPEN


# -- any splitting -------------------------------------------------------------------------------------------------

NOISE = Random(1).randbytes(5000)
_PAYLOADS = st.one_of(st.binary(max_size=40), st.sampled_from([b"x" * 200, "€😀".encode() * 9, NOISE]))
_WHOLE = st.builds(lambda opcode, data: frame(0x80 | opcode, data), st.sampled_from([1, 2, 9, 10]), _PAYLOADS)
_SQUEEZED = st.builds(
    lambda opcode, data, final: frame(0xC0 | opcode, squeeze(data, final=final)),
    st.sampled_from([1, 2]),
    _PAYLOADS,
    st.booleans(),
)


@st.composite
def _fragmented(draw: st.DrawFn) -> bytes:
    data = draw(st.one_of(st.text(max_size=30).map(str.encode), st.binary(max_size=30)))
    squeezed = draw(st.booleans())
    payload = squeeze(data) if squeezed else data
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
    parts = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    first = draw(st.sampled_from([1, 2])) | (0x40 if squeezed else 0)
    if len(parts) == 1:
        return frame(0x80 | first, parts[0])
    between = draw(st.sampled_from([b"", ping(b"p"), pong()]))
    return frame(first, parts[0]) + b"".join(between + more(each) for each in parts[1:-1]) + between + last(parts[-1])


_BAD = st.sampled_from(
    [text(b"\xff"), frame(0x83), frame(0x81, mask=None), last("x"), close(1005), frame(0xC2, b"\xff\xff"), b"\xff" * 9]
)
_STREAMS = st.lists(st.one_of(_WHOLE, _SQUEEZED, _fragmented(), _BAD, st.just(close(1000, "bye"))), max_size=8).map(
    b"".join
)


@st.composite
def _split(draw: st.DrawFn, stream: st.SearchStrategy[bytes]) -> tuple[bytes, list[bytes]]:
    data = draw(stream)
    cuts = sorted(draw(st.sets(st.integers(0, len(data)), max_size=12)))
    return data, [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]


def plain(events: list[Event]) -> list[Event]:
    """Without our words. Of a text that is too long and no UTF-8, what is seen first depends on how it arrives."""
    found = []
    for event in events:
        if isinstance(event, Closed) and not event.by_client:
            found.append(Closed(1009 if event.code == 1007 else event.code, ""))
        else:
            found.append(event)
    return found


def answers(socket: WebSocket) -> list[Sent]:
    """The same of what is sent."""
    frames = sent_frames(socket.data_to_send())
    return [Sent(each.first, b"") if each.payload[:2] in (b"\x03\xef", b"\x03\xf1") else each for each in frames]


@settings(max_examples=150)
@given(_split(_STREAMS), st.sampled_from([0, 30, 5000]))
def test_how_bytes_are_split_makes_no_difference(split: tuple[bytes, list[bytes]], limit: int) -> None:
    data, pieces = split
    whole, parts = WebSocket(limit, DEFLATE), WebSocket(limit, DEFLATE)
    assert plain(events_of(whole, *filter(None, [data]))) == plain(events_of(parts, *pieces))
    assert answers(whole) == answers(parts)
    assert whole.state is parts.state


@settings(max_examples=150)
@given(_split(st.binary(max_size=200)))
def test_any_bytes_are_events_and_at_most_one_end(split: tuple[bytes, list[bytes]]) -> None:
    socket = WebSocket(1000, DEFLATE)
    events = events_of(socket, *split[1], b"")
    assert isinstance(events[-1], Closed)
    assert not any(isinstance(each, Closed) for each in events[:-1])
    assert socket.next_event() is None


@settings(max_examples=50)
@given(st.lists(st.one_of(st.text(), st.binary(), st.text(min_size=100)), max_size=6))
def test_a_conversation_comes_back_as_it_went(messages: list[str | bytes]) -> None:
    """What our own core sends, masked as a client would, is what it reads."""
    server = WebSocket(0, DEFLATE)
    echo = WebSocket(0, DeflateTerms(client_bits=12))
    for message in messages:
        server.send_text(message) if isinstance(message, str) else server.send_binary(message)
    masked = [frame(each.first, each.payload) for each in sent_frames(server.data_to_send())]
    expected = [Text(each) if isinstance(each, str) else Binary(each) for each in messages]
    assert events_of(echo, *masked) == expected


# -- work and memory -----------------------------------------------------------------------------------------------

FAMILIES: dict[str, Callable[[int], bytes]] = {
    "tiny fragments": lambda n: text("", False) + more("x") * n + last("y"),
    "empty fragments": lambda n: text("", False) + more("") * n + last("y"),
    "tiny messages": lambda n: text("x") * n,
    "pings": lambda n: ping(b"x") * n,
    "a long message": lambda n: binary(b"x" * (9 * n)),
    "a long text": lambda n: text("é" * (9 * n)),
    "tiny compressed fragments": lambda n: frame(0x42) + b"".join(more(bytes((byte,))) for byte in squeeze(bytes(n))),
    "empty blocks": lambda n: frame(0x42, b"\x00\x00\x00\xff\xff" * n) + last(b"\x00"),
}


@pytest.mark.parametrize("step", [1, 7, 1 << 20], ids=["bytewise", "by sevens", "whole"])
@pytest.mark.parametrize("family", FAMILIES)
def test_twice_the_input_costs_twice_the_work(family: str, step: int) -> None:
    def spent(size: int) -> Work:
        work = Work()
        data = FAMILIES[family](size)
        socket = WebSocket(0, DEFLATE)
        socket._received = CountingReceived(work)
        work.calls_of(lambda: events_of(socket, *(data[at : at + step] for at in range(0, len(data), step))))
        return work

    once, twice = spent(150), spent(300)
    assert twice.calls <= 2.2 * once.calls
    assert twice.bytes_seen <= 2.2 * once.bytes_seen


def test_many_tiny_fragments_take_the_memory_of_their_bytes() -> None:
    socket = WebSocket(2_000_000)
    block = more("x") * 1000
    assert events_of(socket, text("", False)) == []
    tracemalloc.start()
    try:
        for _ in range(20):
            assert events_of(socket, block) == []
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * 20 * 1000
    assert events_of(socket, last("")) == [Text("x" * 20_000)]


def test_fragments_without_end_hold_nothing_and_reach_the_limit() -> None:
    socket = WebSocket(1000)
    assert events_of(socket, binary(b"", False), *[more(b"") * 1000] * 3, *[more(b"x")] * 1000) == []
    (closed,) = events_of(socket, more(b"x"))
    assert isinstance(closed, Closed)
    assert closed.code == 1009
    assert [each.opcode for each in sent_frames(socket.data_to_send())] == [8]


def test_a_frame_that_announces_more_than_the_limit_is_refused_by_its_header() -> None:
    socket = WebSocket(1000)
    (closed,) = events_of(socket, frame(0x82, length=1001)[:4])
    assert isinstance(closed, Closed)
    assert closed.code == 1009


def test_a_pong_of_125_bytes_answers_a_ping_between_blocks() -> None:
    socket = WebSocket()
    assert events_of(socket, ping(b"x" * 125)) == [Ping(b"x" * 125)]
    assert sent_frames(socket.data_to_send())[0].payload == b"x" * 125
