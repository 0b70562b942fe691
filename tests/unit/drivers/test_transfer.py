"""drivers/transfer.py: connections through a real queue."""

import array
import errno
import os
import socket

import pytest

from ostler.drivers import transfer as module
from ostler.drivers.transfer import MESSAGE_BYTES, TransferSockets
from ostler.http.connection import Peer

TCP = Peer(("192.0.2.1", 40000), ("192.0.2.2", 80))
UNIX = Peer("", "/run/app.sock")


@pytest.fixture
def queue():
    queue = TransferSockets.create()
    yield queue
    queue.close()


@pytest.mark.parametrize("peer", [TCP, UNIX])
@pytest.mark.parametrize("unread", [b"", b"GET / HT", b"\0\xff" * 20000])
def test_a_connection_arrives_with_its_unread_bytes(queue, pair, peer, unread):
    ours, theirs = pair
    assert queue.send(ours, peer, "http", unread)
    ours.close()
    taken = queue.receive()
    assert taken.peer == peer
    assert type(taken.peer.address) is type(peer.address)
    assert taken.unread == unread
    taken.socket.send(b"hello")
    assert theirs.recv(100) == b"hello"
    assert taken.socket.getblocking() is False
    assert taken.socket.get_inheritable() is False
    taken.socket.close()
    assert theirs.recv(100) == b""


def test_an_empty_queue_gives_nothing(queue):
    assert queue.receive() is None


def test_connections_arrive_in_order(queue, pair):
    for number in range(5):
        assert queue.send(pair[0], TCP, "http", b"%d" % number)
    for number in range(5):
        taken = queue.receive()
        assert taken.unread == b"%d" % number
        taken.socket.close()
    assert queue.receive() is None


def test_a_full_queue_keeps_the_connection(queue, pair):
    sent = 0
    while queue.send(pair[0], TCP, "http", b"x" * 60000):
        sent += 1
        assert sent < 1000
    assert sent > 0
    taken = queue.receive()
    taken.socket.close()
    assert queue.send(pair[0], TCP, "http", b"x" * 60000)
    pair[0].getsockname()  # still ours
    while (taken := queue.receive()) is not None:
        taken.socket.close()


def test_a_message_may_have_its_size_and_no_more(queue, pair):
    room = MESSAGE_BYTES - 200
    assert queue.send(pair[0], TCP, "http", b"x" * room)
    queue.receive().socket.close()
    assert not queue.send(pair[0], TCP, "http", b"x" * MESSAGE_BYTES)
    assert queue.receive() is None


def test_what_is_in_the_queue_is_closed_with_it(pair):
    queue = TransferSockets.create()
    assert queue.send(pair[0], TCP, "http", b"")
    pair[0].close()
    queue.close()
    assert pair[1].recv(1) == b""


@pytest.mark.parametrize("message", [b"\x05", b"\x05whatever comes later", b"\x00", b"\x02\x00\x02[]"])
def test_a_message_of_another_version_is_dropped_with_its_connection(queue, pair, message):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [pair[0].fileno()]))]
    queue._sending.sendmsg([message], rights)
    pair[0].close()
    assert queue.receive() is None
    assert pair[1].recv(1) == b""


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_without_a_free_descriptor_the_connection_waits(queue, pair, monkeypatch, number):
    def full(fd):
        raise OSError(number, "Too many open files")

    assert queue.send(pair[0], TCP, "http", b"")
    with monkeypatch.context() as patch:
        patch.setattr(module, "_dup", full)
        with pytest.raises(OSError, match="Too many"):
            queue.receive()
    queue.receive().socket.close()


@pytest.mark.parametrize("served", [True, False])
def test_a_sibling_knows_whether_it_was_served(queue, pair, served):
    assert queue.send(pair[0], TCP, "http", b"", served)
    taken = queue.receive()
    assert taken.served is served
    taken.socket.close()


def test_a_message_without_a_connection_is_dropped(queue):
    queue._sending.send(b"\x03\x00\x02[]")
    assert queue.receive() is None


def test_a_closed_queue_takes_nothing(pair):
    queue = TransferSockets.create()
    queue.close()
    assert not queue.send(pair[0], TCP, "http", b"")
    assert queue.receive() is None


def test_the_queue_is_readable_while_somebody_waits(queue, pair):
    assert queue.fileno() >= 0
    queue.send(pair[0], TCP, "http", b"")
    poller = module.socket.socket(fileno=os.dup(queue.fileno()))
    assert poller.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"\x04"
    poller.close()
    queue.receive().socket.close()


def test_a_sibling_knows_since_when_a_request_has_waited(queue, pair):
    assert queue.send(pair[0], TCP, "http", b"GET", True, 123.456)
    taken = queue.receive()
    assert taken.since == 123.456
    taken.socket.close()
