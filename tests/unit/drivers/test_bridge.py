"""The bridge between a client and an application's end of a pair. Time limits are only there to end a failed test."""

import contextlib
import os
import socket
import threading

import pytest

from ostler.drivers.bridge import BLOCK_BYTES, Bridge
from ostler.drivers.stream import PlainStream

LARGE = os.urandom(4 * 1024 * 1024)


class Ends:
    """A client, an application, and the bridge between them."""

    def __init__(self, early=b"", farewell_s=5.0):
        ours, self.client = socket.socketpair()
        ours.setblocking(False)
        bridge = Bridge(ours, PlainStream(ours), early, farewell_s)
        self.application = bridge.end
        self.over = threading.Event()
        for end in (self.client, self.application):
            end.settimeout(10)
        bridge.start(self.over.set)

    def close(self):
        self.client.close()
        self.application.close()
        assert self.over.wait(10)


@pytest.fixture
def make():
    made = []

    def begin(**arguments):
        made.append(Ends(**arguments))
        return made[-1]

    yield begin
    for ends in made:
        ends.close()


def read_all(sock):
    data = b""
    while piece := sock.recv(1 << 16):
        data += piece
    return data


def send_beside(sock, data):
    """Send in another thread; it may find the other side closed."""

    def send():
        with contextlib.suppress(OSError):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_bytes_go_both_ways(make):
    ends = make()
    ends.client.sendall(b"question")
    assert ends.application.recv(100) == b"question"
    ends.application.sendall(b"answer")
    assert ends.client.recv(100) == b"answer"


def test_what_was_read_early_comes_first(make):
    ends = make(early=b"early ")
    ends.client.sendall(b"late")
    ends.client.shutdown(socket.SHUT_WR)
    assert read_all(ends.application) == b"early late"


@pytest.mark.parametrize("way", ["to the client", "to the application"])
def test_much_arrives_whole_though_its_reader_is_late(make, way):
    ends = make()
    sender, reader = (ends.application, ends.client) if way == "to the client" else (ends.client, ends.application)
    thread = send_beside(sender, LARGE)
    assert read_all(reader) == LARGE
    thread.join(10)


def test_the_end_of_one_direction_leaves_the_other_open(make):
    ends = make()
    ends.application.shutdown(socket.SHUT_WR)
    assert ends.client.recv(1) == b""
    ends.client.sendall(b"still here")
    assert ends.application.recv(100) == b"still here"
    assert not ends.over.is_set()
    ends.client.shutdown(socket.SHUT_WR)
    assert ends.application.recv(1) == b""
    assert ends.over.wait(10)


def test_what_an_application_sent_before_it_closed_reaches_the_client(make):
    ends = make()
    ends.application.settimeout(0)
    sent = ends.application.send(LARGE)
    ends.application.close()
    assert read_all(ends.client) == LARGE[:sent]
    ends.client.close()
    assert ends.over.wait(10)


def test_an_application_that_closed_with_bytes_unread_is_no_failure(make):
    ends = make()
    ends.client.sendall(b"nobody reads this")
    ends.application.recv(1, socket.MSG_PEEK)  # it has arrived
    ends.application.sendall(b"goodbye")
    ends.application.close()
    assert read_all(ends.client) == b"goodbye"


def test_a_client_that_takes_nothing_is_given_up_after_the_farewell(make):
    ends = make(farewell_s=0.05)
    ends.application.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            ends.application.send(LARGE[:BLOCK_BYTES])
    ends.application.close()
    assert ends.over.wait(10)


def test_a_client_that_breaks_ends_the_application_s_reading(make):
    ends = make()
    ends.client.close()
    assert ends.application.recv(1) == b""
    ends.application.close()
    assert ends.over.wait(10)
