"""drivers/client.py: what a thread that runs the application may wait for. (Its life is in test_reactor.py.)"""

import pytest

from ostler.app.wsgi_input import BodyIncomplete
from ostler.drivers.client import Client
from ostler.drivers.outbox import Reserve
from ostler.drivers.poller import make_poller
from ostler.drivers.stream import PlainStream
from ostler.drivers.timeouts import Patience, Timeouts
from ostler.drivers.transport import Transport
from ostler.http.connection import Peer
from ostler.http.encode import DateField
from ostler.http.h1 import H1Connection
from ostler.http.limits import Limits

TIMEOUTS = Timeouts(keep_alive_s=1, streamed_body=Patience(0.2, 8192), beat_s=0.01)


@pytest.fixture
def waiting(pair):
    """A client of which the application reads a body that streams, and the other end of its connection."""
    poller = make_poller()
    connection = H1Connection(Limits(), Peer("", ""), DateField())
    beats = []
    transport = Transport(pair[0], PlainStream(pair[0]), poller, TIMEOUTS, Reserve(), lambda: beats.append(1))
    client = Client(transport, connection, None, TIMEOUTS, lambda: beats.append(1), None)
    connection.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
    client.exchange = connection.next_exchange()
    yield client, pair[1], beats
    poller.close()


def test_what_came_is_taken_at_once(waiting):
    client, theirs, beats = waiting
    theirs.send(b"x" * 100)
    client.wait_for_body()
    assert client.exchange.read() == b"x" * 100
    assert beats == []


def test_a_client_that_sends_nothing_is_given_up_and_the_heart_beats_meanwhile(waiting):
    client, _, beats = waiting
    with pytest.raises(BodyIncomplete, match="too slowly for a thread"):
        client.wait_for_body()
    assert len(beats) > 3


def test_a_client_that_trickles_may_not_hold_a_thread(waiting):
    client, theirs, _ = waiting
    client._waited_s = 100.0  # a thread has waited so long, and 1 KiB came
    client.came = 1024
    theirs.send(b"x")
    client.wait_for_body()
    with pytest.raises(BodyIncomplete, match="too slowly for a thread"):
        client.wait_for_body()


def test_a_slow_client_that_keeps_the_least_rate_is_waited_for(waiting):
    client, theirs, _ = waiting
    client._waited_s = 100.0
    client.came = 100 * 8192
    theirs.send(b"x")
    client.wait_for_body()
    with pytest.raises(BodyIncomplete, match="too slowly for a thread"):
        client.wait_for_body()
