"""drivers/transport.py: what is left over, and who sends it. (Its life is in test_reactor.py.)"""

import socket
import threading
from math import inf

import pytest

from ostler.app.wsgi_input import ClientGone
from ostler.drivers.outbox import Reserve
from ostler.drivers.poller import READ, WRITE, make_poller
from ostler.drivers.stream import PlainStream
from ostler.drivers.timeouts import Patience, Timeouts
from ostler.drivers.transport import Transport

TIMEOUTS = Timeouts(keep_alive_s=1, write=Patience(silence_s=5, rate=1000, grace_s=5), beat_s=0.01)
LARGE = b"x" * 3_000_000


@pytest.fixture
def transport(pair):
    poller = make_poller()
    reserve = Reserve(memory_bytes=1 << 24)
    transport = Transport(pair[0], PlainStream(pair[0]), poller, TIMEOUTS, reserve, lambda: None)
    transport.ask(READ)
    yield transport
    transport.close([])
    reserve.spill.close()
    poller.close()


def take(sock):
    data = b""
    try:
        while piece := sock.recv(1 << 20):
            data += piece
    except BlockingIOError:
        pass
    return data


def test_what_the_client_takes_is_not_lent(transport, pair):
    assert transport.send([b"one", b"two"])
    assert transport.send([b"three"])
    assert take(pair[1]) == b"onetwothree"
    assert transport.deadline == inf
    assert not transport.lent


def test_a_leftover_is_lent_until_the_client_has_taken_it(transport, pair):
    assert not transport.send([LARGE])
    assert transport.lent
    assert transport.deadline < inf
    assert not transport.send([b"end"])
    received = take(pair[1])
    while not transport.flush(100.0):
        received += take(pair[1])
    assert received + take(pair[1]) == LARGE + b"end"
    assert (transport.lent, transport.deadline) == (False, inf)


def test_the_deadline_moves_with_what_the_client_takes(transport, pair):
    transport.send([LARGE])
    first = transport.deadline
    take(pair[1])
    assert not transport.flush(first)
    assert transport.deadline == first + 5.0


def test_a_client_that_takes_too_little_is_given_up_by_rate(transport, pair):
    transport.send([LARGE])
    began, _ = transport.pace
    pair[1].recv(1)
    transport.flush(began + 4.9)
    assert transport.deadline <= began + 5.0 + transport.pace[1] / 1000


def test_what_the_kernel_got_rid_of_counts_though_it_announces_no_room_yet(transport, pair):
    transport.send([LARGE])
    end = transport.deadline
    transport.look(end)
    assert transport.deadline == end
    kept = transport.kept
    pair[1].recv(100_000)
    transport.look(end)
    assert transport.deadline == end + 5.0
    assert transport.kept < kept


def test_a_large_block_is_put_away_in_steps_and_arrives_whole(transport, pair):
    block = bytes(range(256)) * 80_000  # 20 MB
    assert not transport.send([block])
    assert not transport.send([b"end"])
    received = bytearray(take(pair[1]))
    while not transport.flush(0.0):
        received += take(pair[1])
    assert received + take(pair[1]) == block + b"end"


def test_the_application_waits_while_too_much_is_left_over_and_is_told_when_it_breaks(transport, pair):
    huge = [b"x" * (80 << 20)]

    def give_up():
        with transport.lock:
            transport.break_off()

    timer = threading.Timer(0.05, give_up)
    timer.start()
    with pytest.raises(ClientGone):
        transport.deliver(huge)
    timer.join()
    with pytest.raises(ClientGone):
        transport.send([b"x"])


def test_what_is_asked_of_the_poller_keeps_what_sending_needs(transport):
    transport.send([LARGE])
    transport.listen()
    assert transport._events == READ | WRITE
    transport.stop_listening()
    assert transport._events == WRITE
    assert transport.unwatch() == WRITE
    assert transport.unwatch() == -1


def test_it_knows_whether_the_client_has_left(transport, pair):
    assert transport.has_unread() is False
    assert not transport.is_left()
    pair[1].send(b"x")
    assert transport.has_unread() is True
    assert not transport.is_left()
    transport.stream.recv(1)
    pair[1].shutdown(socket.SHUT_WR)
    assert transport.has_unread() is None
    assert transport.is_left()
    assert not transport.is_gone()


def test_hanging_up_ends_what_the_client_reads(transport, pair):
    assert transport.hang_up()
    assert pair[1].recv(1) == b""
    transport.sock.close()
    assert not transport.hang_up()
