import asyncio
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostler.compat.package.ctl import protocol as look_alike
from ostler.control import wire
from ostler.control.protocol import ProtocolError
from ostler.control.wire import Asked, Frames


def frame(payload, length=None):
    return struct.pack(">I", len(payload) if length is None else length) + payload


def payloads(data, step, limit=1000):
    frames, found = Frames(limit), []
    for at in range(0, len(data), step):
        frames.feed(data[at : at + step])
        while (payload := frames.take()) is not None:
            found.append(payload)
    return found, frames


@pytest.mark.parametrize("step", [1, 2, 3, 5, 100])
def test_messages_come_out_whole_however_they_are_cut(step):
    found, frames = payloads(frame(b"{}") + frame(b"") + frame(b"abc") + b"\0\0", step)
    assert found == [b"{}", b"", b"abc"]
    assert frames.begun


def test_a_length_beyond_the_limit_is_refused_before_it_has_come():
    frames = Frames(100)
    frames.feed(frame(b"", 101))
    with pytest.raises(ProtocolError, match="at most 100 bytes, got a length of 101"):
        frames.take()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"id": 1, "command": "show workers"}, ("show", "workers")),
        ({"id": 1, "command": "worker add", "args": ["2"]}, ("worker", "add", "2")),
        ({"id": 1, "command": "worker add", "args": [2]}, ("worker", "add", "2")),
        ({"id": 1, "command": "say 'two words'", "args": None}, ("say", "two words")),
    ],
)
def test_command_and_args_are_one_list_of_words(message, words):
    assert wire.asked(json.dumps(message).encode()) == Asked(1, words)


def test_words_that_cannot_be_taken_apart_are_a_problem_with_the_requests_id():
    assert wire.asked(b'{"id": 7, "command": "  "}') == Asked(7, (), "Empty command")
    assert wire.asked(b'{"id": 7, "command": "say \'x"}').problem == "Invalid argument: No closing quotation"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"command": 1}',
        b'{"command": "x", "args": 1}',
        b'{"command": "x", "args": {"a": 1}}',
        b'{"command": "x", "id": {}}',
        b"[" * 20000,
        b"\xff",
    ],
)
def test_what_is_no_request_is_a_protocol_error(payload):
    with pytest.raises(ProtocolError):
        wire.asked(payload)


@given(st.binary())
def test_whatever_comes_is_a_request_or_a_protocol_error(payload):
    try:
        wire.asked(payload)
        wire.data_of(payload)
    except ProtocolError:
        pass


def test_an_answer_has_data_or_a_reason():
    def told(message):
        return wire.data_of(message[4:])

    assert told(wire.answer(1, {"a": 1})) == {"a": 1}
    assert told(wire.refusal(1, "no")) == "no"
    with pytest.raises(ProtocolError):
        told(wire.encode({"status": "maybe"}))


class Pipe:
    """A socket that gives what was written into it, a byte at a time."""

    def __init__(self, data=b""):
        self.data = data

    def recv(self, size):
        data, self.data = self.data[:1], self.data[1:]
        return data

    def sendall(self, data):
        self.data += data


def test_the_look_alike_of_gunicorns_protocol_speaks_it():
    message = look_alike.make_request(3, "show all")
    pipe = Pipe()
    look_alike.ControlProtocol.write_message(pipe, message)
    assert look_alike.ControlProtocol.read_message(pipe) == {"id": 3, "command": "show all", "args": []}
    with pytest.raises(ConnectionError):
        look_alike.ControlProtocol.read_message(pipe)
    with pytest.raises(look_alike.ProtocolError):
        look_alike.ControlProtocol.read_message(Pipe(b"\0\0\0\5{"))
    with pytest.raises(look_alike.ProtocolError):
        look_alike.ControlProtocol.read_message(Pipe(b"\xff\0\0\5{"))

    async def read():
        reader = asyncio.StreamReader()
        reader.feed_data(look_alike.ControlProtocol.encode_message(message))
        return await look_alike.ControlProtocol.read_message_async(reader)

    assert asyncio.run(read()) == message
    assert look_alike.ControlProtocol.decode_message(wire.encode(message)) == message
