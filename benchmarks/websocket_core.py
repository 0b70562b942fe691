"""Microseconds of the WebSocket core for one message in and its echo out, without sockets, beside wsproto's.

Run: `.venv/bin/python benchmarks/websocket_core.py [rounds]`. wsproto and the core of the `websockets` package are
measured where they are installed. Every core gets the same masked frames of a client.
"""

import json
import os
import sys
import timeit
import zlib
from collections.abc import Callable

from ostler.http.websocket import WebSocket
from ostler.http.websocket_deflate import DeflateTerms
from ostler.http.websocket_events import Binary, Text
from ostler.http.websocket_frames import unmask

SMALL = json.dumps({"type": "chat", "user": "ann", "text": "hello there, bob"}).ljust(64).encode("ascii")
LARGE = os.urandom(48 * 1024) + bytes(16 * 1024)
MASK = b"\x9a\x3c\x51\xe7"
BITS = 12
"""Of the windows of every core, so that all do the same work."""

Echo = Callable[[bytes], object]


def frame(first: int, payload: bytes) -> bytes:
    """A client's frame."""
    size = len(payload)
    if size <= 125:
        header = bytes((first, 0x80 | size))
    elif size <= 0xFFFF:
        header = bytes((first, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        header = bytes((first, 0x80 | 127)) + size.to_bytes(8, "big")
    return header + MASK + unmask(payload, MASK)


def ours(deflate: bool) -> Echo:
    """Ostler's."""
    socket = WebSocket(16 * 1024 * 1024, DeflateTerms(server_bits=BITS, client_bits=BITS) if deflate else None)

    def echo(data: bytes) -> None:
        socket.receive(data)
        while (event := socket.next_event()) is not None:
            match event:
                case Text(text):
                    socket.send_text(text)
                case Binary(payload):
                    socket.send_binary(payload)
                case _:
                    raise AssertionError(event)
        assert socket.data_to_send()

    return echo


def wsproto(deflate: bool) -> Echo:
    """The wsproto package."""

    from wsproto.connection import Connection, ConnectionType
    from wsproto.events import BytesMessage, TextMessage
    from wsproto.extensions import PerMessageDeflate

    extensions = []
    if deflate:
        extension = PerMessageDeflate(client_max_window_bits=BITS, server_max_window_bits=BITS)
        extension._enabled = True
        extensions.append(extension)
    connection = Connection(ConnectionType.SERVER, extensions)

    def echo(data: bytes) -> None:
        connection.receive_data(data)
        sent = b""
        for event in connection.events():
            assert isinstance(event, BytesMessage | TextMessage)
            sent += connection.send(event.__class__(data=event.data, message_finished=event.message_finished))
        assert sent

    return echo


def websockets(deflate: bool) -> Echo:
    """The websockets package, whose masking is compiled C."""

    from websockets.extensions.permessage_deflate import PerMessageDeflate
    from websockets.protocol import State
    from websockets.server import ServerProtocol

    protocol = ServerProtocol(state=State.OPEN, max_size=16 * 1024 * 1024)
    if deflate:
        protocol.extensions = [PerMessageDeflate(False, False, BITS, BITS, {"memLevel": 5})]  # as its server sets it

    def echo(data: bytes) -> None:
        protocol.receive_data(data)
        for event in protocol.events_received():
            if event.opcode == 1:
                protocol.send_text(event.data)
            else:
                protocol.send_binary(event.data)
        assert protocol.data_to_send()

    return echo


def measure(make: Callable[[bool], Echo], deflate: bool, first: int, payload: bytes, rounds: int) -> float:
    """Microseconds a message, the best of five runs."""
    echo = make(deflate)
    if deflate:
        # Each message refers to the window that the former ones left.
        squeeze = zlib.compressobj(wbits=-BITS, memLevel=5)

        def squeezed() -> bytes:
            return (squeeze.compress(payload) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]

        supply = iter([frame(first | 0x40, squeezed()) for _ in range(5 * rounds)])
        return min(timeit.repeat(lambda: echo(next(supply)), number=rounds, repeat=5)) / rounds * 1e6
    data = frame(first, payload)
    return min(timeit.repeat(lambda: echo(data), number=rounds, repeat=5)) / rounds * 1e6


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    cases = (
        ("text, 64 bytes", False, 0x81, SMALL, rounds),
        ("text, 64 bytes, deflate", True, 0x81, SMALL, rounds),
        ("binary, 64 KiB", False, 0x82, LARGE, max(1, rounds // 100)),
        ("binary, 64 KiB, deflate", True, 0x82, LARGE, max(1, rounds // 100)),
    )
    print(f"Python {sys.version.split()[0]}, µs a message (in and out)")
    print(f"{'':26}" + "".join(f"{make.__name__:>12}" for make in (ours, wsproto, websockets)))
    for name, deflate, first, payload, times in cases:
        row = f"{name:26}"
        for make in (ours, wsproto, websockets):
            try:
                row += f"{measure(make, deflate, first, payload, times):12.2f}"
            except ImportError:
                row += f"{'-':>12}"
        print(row)


if __name__ == "__main__":
    main()
