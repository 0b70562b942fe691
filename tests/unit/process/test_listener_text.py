"""A listener as text: whatever is known of it comes back."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostler.config.address import TcpAddress, UnixAddress
from ostler.process.inherited import Origin
from ostler.process.listener_text import describe, rebuild
from ostler.process.listeners import Listener, bind


def listeners(directory: Path) -> Iterator[Listener]:
    yield bind(TcpAddress("127.0.0.1", 0), 5)
    yield bind(UnixAddress(str(directory / "a \u00fc\udcff.sock")), 5)
    yield bind(UnixAddress(f"ostler-test-{os.getpid()}", abstract=True), 5)
    for origin in (None, Origin(5), Origin(3, "web", activated=True)):
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.listen(5)
        yield Listener(sock, TcpAddress("localhost", 0), inherited=True, origin=origin, slot=7)


def test_a_listener_comes_back_as_it_was(tmp_path: Path) -> None:
    for listener in listeners(tmp_path):
        again = rebuild(describe(listener), os.dup(listener.fd))
        for name in ("address", "inherited", "origin", "slot", "name"):
            assert getattr(again, name) == getattr(listener, name)
        assert again.fd != listener.fd
        assert not again.socket.getblocking()
        assert again.socket.getsockname() == listener.socket.getsockname()
        again.close()
        listener.close()


def test_what_is_no_socket_is_refused(tmp_path: Path) -> None:
    listener = bind(TcpAddress("127.0.0.1", 0), 5)
    with (tmp_path / "file").open("w") as file, pytest.raises(OSError, match="socket"):
        rebuild(describe(listener), file.fileno())
    listener.close()
