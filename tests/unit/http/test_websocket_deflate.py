"""permessage-deflate: what is agreed on (RFC 7692 section 7.1), and what is never inflated."""

import os
import zlib

import pytest

from ostler.http.websocket_deflate import Deflater, DeflateTerms, Inflater, accept_offer
from ostler.http.websocket_frames import WebSocketError
from tests.websocket.wire import inflated, squeeze

Offer = list[tuple[str, str | None]]

ANSWERS: list[tuple[Offer, str]] = [
    ([], "permessage-deflate"),
    ([("server_no_context_takeover", None)], "permessage-deflate; server_no_context_takeover"),
    ([("client_no_context_takeover", None)], "permessage-deflate; client_no_context_takeover"),
    ([("client_max_window_bits", None)], "permessage-deflate; client_max_window_bits=12"),
    ([("client_max_window_bits", "15")], "permessage-deflate; client_max_window_bits=12"),
    ([("client_max_window_bits", "10")], "permessage-deflate; client_max_window_bits=10"),
    ([("client_max_window_bits", "8")], "permessage-deflate; client_max_window_bits=8"),
    ([("server_max_window_bits", "15")], "permessage-deflate; server_max_window_bits=12"),
    ([("server_max_window_bits", "9")], "permessage-deflate; server_max_window_bits=9"),
    (
        [("client_max_window_bits", None), ("server_max_window_bits", "10"), ("server_no_context_takeover", None)],
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; client_max_window_bits=12",
    ),
]
DECLINED: list[Offer] = [
    [("server_max_window_bits", "8")],  # allowed, but zlib cannot
    [("server_max_window_bits", "7")],
    [("server_max_window_bits", "16")],
    [("server_max_window_bits", None)],
    [("server_max_window_bits", "010")],
    [("server_max_window_bits", "+9")],
    [("server_max_window_bits", "")],
    [("client_max_window_bits", "7")],
    [("client_max_window_bits", "16")],
    [("client_max_window_bits", "09")],
    [("client_max_window_bits", "x")],
    [("client_max_window_bits", "")],
    [("server_no_context_takeover", "1")],
    [("client_no_context_takeover", "yes")],
    [("unknown", None)],
    [("client_max_window_bits", None), ("client_max_window_bits", None)],
    [("server_no_context_takeover", None), ("server_no_context_takeover", None)],
    [("Server_No_Context_Takeover", None)],
]


@pytest.mark.parametrize(("offer", "answer"), ANSWERS, ids=[answer for _, answer in ANSWERS])
def test_an_offer_is_answered(offer: Offer, answer: str) -> None:
    terms = accept_offer(offer)
    assert terms is not None
    assert terms.field == answer


@pytest.mark.parametrize("offer", DECLINED, ids=str)
def test_an_offer_is_declined(offer: Offer) -> None:
    assert accept_offer(offer) is None


@pytest.mark.parametrize("bits", range(9, 16))
@pytest.mark.parametrize("reset", [False, True])
def test_what_is_deflated_is_inflated_by_a_client_with_that_window(bits: int, reset: bool) -> None:
    messages = [b"a" * 40, os.urandom(5000), b"the same again " * 400, b"the same again " * 400]
    deflater = Deflater(DeflateTerms(server_bits=bits, server_reset=reset))
    payloads = [deflater.deflate(message) for message in messages]
    assert inflated(payloads, bits, reset) == messages
    assert (len(payloads[3]) < len(payloads[2])) is not reset


@pytest.mark.parametrize("bits", range(8, 16))
@pytest.mark.parametrize("reset", [False, True])
def test_a_client_may_deflate_with_the_window_that_was_agreed_on(bits: int, reset: bool) -> None:
    inflater = Inflater(DeflateTerms(client_bits=bits, client_reset=reset))
    stream = zlib.compressobj(wbits=-max(bits, 9))
    for message in (b"a" * 9000, os.urandom(9000), b"abc" * 3000):
        payload = (stream.compress(message) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
        if reset:
            stream = zlib.compressobj(wbits=-max(bits, 9))
        assert inflater.inflate(payload, None) + inflater.end(None) == message


def test_a_reset_forgets_the_window() -> None:
    stream = zlib.compressobj(wbits=-15)
    payloads = [(stream.compress(b"Hello" * 9) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4] for _ in range(2)]
    inflater = Inflater(DeflateTerms(client_reset=True))
    assert inflater.inflate(payloads[0], None) + inflater.end(None) == b"Hello" * 9
    with pytest.raises(WebSocketError, match="1007"):
        inflater.inflate(payloads[1], None)


def test_no_more_than_the_room_is_ever_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    new = zlib.decompressobj

    class Counting:
        def __init__(self, wbits: int) -> None:
            self.stream = new(wbits)

        def decompress(self, data: bytes, most: int) -> bytes:
            found = self.stream.decompress(data, most)
            made.append(len(found))
            return found

        def __getattr__(self, name: str) -> object:
            return getattr(self.stream, name)

    monkeypatch.setattr(zlib, "decompressobj", Counting)
    with pytest.raises(WebSocketError) as caught:
        Inflater(DeflateTerms()).inflate(squeeze(bytes(50_000_000)), 1000)
    assert caught.value.code == 1009
    assert sum(made) == 1001


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("room", [0, 1, 99, 100, 101, None])
def test_the_room_is_kept_to_the_byte(room: int | None, final: bool) -> None:
    inflater = Inflater(DeflateTerms())
    payload = squeeze(b"x" * 100, final=final)
    if room is not None and room < 100:
        with pytest.raises(WebSocketError, match="1009"):
            inflater.inflate(payload, room)
    else:
        assert inflater.inflate(payload, room) == b"x" * 100
        assert inflater.end(None if room is None else room - 100) == b""
