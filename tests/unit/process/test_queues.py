"""What the kernel says of its queues, and of how long bytes have been lying there."""

import os
import socket
import sys
import time
from pathlib import Path

import pytest

from ostler.process import queues

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


def test_the_age_of_data_is_counted_from_its_last_segment() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.sendall(b"early")
        sent = time.monotonic()
        accepted, _ = server.accept()
        with accepted:
            while queues.waited_s(accepted) < 0.05:
                assert time.monotonic() - sent < 5
            assert queues.waited_s(accepted) <= time.monotonic() - sent + 0.02
            client.sendall(b"late")
            accepted.recv(9, socket.MSG_WAITALL)
            assert queues.waited_s(accepted) < 0.05


def test_what_has_no_age_is_new() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"x")
        assert queues.waited_s(ours) == 0.0
    assert queues.waited_s(ours) == 0.0


def test_a_socket_that_is_closed_has_no_queue() -> None:
    unix = socket.socket(socket.AF_UNIX)
    unix.close()
    assert queues.of_unix(unix) is None
    tcp = socket.socket()
    tcp.close()
    assert queues.of_tcp(tcp) is None


def test_without_netlink_a_unix_queue_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(f"\0ostler-queues-{os.getpid()}")
        unix.listen(3)
        assert queues.of_unix(unix) == (0, 3)
        monkeypatch.setattr(queues.real, "Socket", refused)
        assert queues.of_unix(unix) is None


def test_overflows_are_a_number_that_does_not_fall() -> None:
    before = queues.overflows()
    assert before is not None
    assert (queues.overflows() or 0) >= before >= 0


def test_overflows_that_are_not_told_are_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "netstat"
    monkeypatch.setattr(queues, "_NETSTAT", str(path))
    assert queues.overflows() is None
    path.write_text("TcpExt: A B\nTcpExt: 1 2\n")
    assert queues.overflows() is None
    path.write_text("TcpExt: A ListenOverflows\nTcpExt: 1 22\n")
    assert queues.overflows() == 22
