"""Frames as bytes: masking, encoding, close codes."""

import os

import pytest

from ostler.http.websocket_frames import (
    WebSocketError,
    encode_close,
    encode_frame,
    is_close_code,
    read_close,
    unmask,
)
from tests.websocket.wire import sent_frames

SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 63, 64, 4093, 4095, 4096, 4097, 4099, 20_000)


@pytest.mark.parametrize("size", SIZES)
def test_masking_is_xor_with_the_turning_mask(size: int) -> None:
    data, mask = os.urandom(size), b"\x00\x7f\x80\xff"
    masked = unmask(data, mask)
    assert masked == bytes(byte ^ mask[at & 3] for at, byte in enumerate(data))
    assert unmask(masked, mask) == data
    assert unmask(bytearray(masked), mask) == data


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_a_frame_is_in_its_shortest_form(size: int) -> None:
    (frame,) = sent_frames(encode_frame(0x82, b"x" * size))
    assert (frame.first, frame.payload) == (0x82, b"x" * size)


def test_a_close_frame_has_a_code_and_a_reason_or_nothing() -> None:
    assert encode_close(1005, "") == b"\x88\x00"
    assert encode_close(1001, "é") == b"\x88\x04\x03\xe9\xc3\xa9"
    assert read_close(b"\x03\xe9\xc3\xa9") == (1001, "é")


@pytest.mark.parametrize(("code", "reason"), [(1006, ""), (1005, "x"), (999, ""), (5000, ""), (1000, "é" * 62)])
def test_what_a_close_frame_cannot_carry_is_refused(code: int, reason: str) -> None:
    with pytest.raises(ValueError, match="close"):
        encode_close(code, reason)


def test_every_code_is_either_sent_or_never() -> None:
    sent = [code for code in range(65536) if is_close_code(code)]
    assert sent == [1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)]
    for code in (*range(3000), 5000, 65535):
        if code not in sent:
            with pytest.raises(WebSocketError):
                read_close(code.to_bytes(2, "big"))
