"""The operator's socket with real sockets, and a clock and a poll loop of the test's own."""

import os
import resource
import select
import socket

import pytest

from ostler.control import server as module
from ostler.control.address import names_of
from ostler.control.protocol import Command, Moved, Progress, Request, Result, decode, encode
from ostler.control.server import ASK_S, LIMIT_CLIENTS, LIMIT_UNSENT_BYTES, Server, open_server
from ostler.process.peer import Peer, peer_of


class Master:
    """Turns the loop until nothing happens."""

    def __init__(self):
        self.now = 100.0
        self.asked = []
        self.poller = select.poll()
        # The pid is a part of the name; tests that run at the same time have others.
        self.server = open_server(os.getpid(), self.poller, lambda: self.now)
        assert isinstance(self.server, Server)

    def turn(self):
        while ready := self.poller.poll(0):
            for fd, _ in ready:
                self.server.hears(fd, lambda asker, command: self.asked.append((asker, command)))

    def connect(self, *lines):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(5)
        client.connect(names_of(os.getpid())[0])
        for line in lines:
            client.sendall(encode(line))
        self.turn()
        return client


@pytest.fixture
def master():
    made = Master()
    yield made
    made.server.close()


def heard(client):
    """All until the end of the connection."""
    with client:
        data = b"".join(iter(lambda: client.recv(65536), b""))
    return [decode(line) for line in data.splitlines()]


def test_a_command_is_asked_for_and_told_what_comes_of_it(master):
    client = master.connect(Request(Command.RELOAD))
    [(asker, command)] = master.asked
    assert (command, asker.peer) == (Command.RELOAD, Peer(os.getpid(), os.geteuid()))
    assert peer_of(client) == Peer(os.getpid(), os.geteuid())
    asker.tell("worker ready")
    asker.moved(42)
    asker.end(True, "done")
    asker.tell("too late")
    assert heard(client) == [Progress("worker ready"), Moved(42), Result(True, "done")]
    assert not asker.gone
    master.turn()
    assert asker.gone


def test_a_command_that_is_killed_is_forgotten(master):
    client = master.connect(Request(Command.RELOAD))
    [(asker, _)] = master.asked
    client.close()
    master.turn()
    assert asker.gone
    asker.tell("nobody hears this")
    asker.end(True, "nor this")


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"GET / HTTP/1.1\r\n", "expected a line of JSON"),
        (b'{"kind": "Request", "command": "dance"}\n', "of another version"),
        (b'{"kind": "Moved", "pid": 1}\n', "of another version"),
        (b"x" * 70000, "expected lines of at most"),
    ],
)
def test_whoever_does_not_speak_the_protocol_is_told_so(master, sent, said):
    client = master.connect()
    client.sendall(sent)
    master.turn()
    [result] = heard(client)
    assert not result.succeeded
    assert said in result.text
    assert master.asked == []


def test_whoever_asks_nothing_is_dropped(master):
    silent, asking = master.connect(), master.connect(Request(Command.RELOAD))
    master.now += ASK_S
    master.server.each_second()
    assert heard(silent) == []
    [(asker, _)] = master.asked
    assert not asker.gone
    asking.close()


def test_only_so_many_commands_wait_at_once(master):
    waiting = [master.connect(Request(Command.RELOAD)) for _ in range(LIMIT_CLIENTS)]
    [result] = heard(master.connect(Request(Command.RELOAD)))
    assert result == Result(False, f"{LIMIT_CLIENTS} other commands wait for this server already")
    waiting.pop().close()
    master.turn()
    waiting.append(master.connect(Request(Command.RELOAD)))
    assert len(master.asked) == LIMIT_CLIENTS + 1
    for client in waiting:
        client.close()


def test_a_reader_that_does_not_read_is_dropped_in_the_end_and_never_waited_for(master):
    client = master.connect(Request(Command.RELOAD))
    [(asker, _)] = master.asked
    line = "x" * 4000
    told = 0
    while not asker.gone:
        asker.tell(line)
        told += len(line)
        assert told < 100 * LIMIT_UNSENT_BYTES
    assert told > LIMIT_UNSENT_BYTES
    client.close()


def test_a_slow_reader_has_everything_in_order(master):
    client = master.connect(Request(Command.RELOAD))
    [(asker, _)] = master.asked
    # More than the kernel's buffer takes, less than is dropped.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lines = [f"{number}" * 1000 for number in range(50)]
    for line in lines:
        asker.tell(line)
    asker.end(False, "end")
    received = b""
    while not received.endswith(encode(Result(False, "end"))):
        received += client.recv(1000)
        master.turn()
    assert [decode(line) for line in received.splitlines()] == [*map(Progress, lines), Result(False, "end")]
    client.close()


def test_another_user_is_refused(master, monkeypatch):
    monkeypatch.setattr(module, "peer_of", lambda sock: Peer(7, 4_000_000))
    [result] = heard(master.connect())
    assert result == Result(False, "only root and the user that the server runs as may do this, not uid 4000000")
    assert master.asked == []


def test_however_many_of_others_connect_the_owner_is_heard(master, monkeypatch):
    strangers = [Peer(7, 4_000_000)] * 4 * LIMIT_CLIENTS
    monkeypatch.setattr(module, "peer_of", lambda sock: strangers.pop() if strangers else peer_of(sock))
    others = [master.connect() for _ in range(4 * LIMIT_CLIENTS)]
    assert not strangers
    refused = [bool(client.recv(1)) for client in others if select.select([client], [], [], 0)[0]]
    assert all(refused)  # who was made room of had been told before
    owner = master.connect(Request(Command.RELOAD))
    [(asker, _)] = master.asked
    asker.end(True, "done")
    assert heard(owner) == [Result(True, "done")]
    for client in others:
        client.close()


def test_a_full_descriptor_table_is_looked_at_once_a_second(master):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, limits[1]))
        client.connect(names_of(os.getpid())[0])
        master.turn()  # would not return if it was looked at again and again
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    client.sendall(encode(Request(Command.RELOAD)))
    master.server.each_second()
    master.turn()
    assert len(master.asked) == 1
    client.close()


def test_a_name_that_is_taken_is_a_reason_and_no_error(master):
    assert open_server(os.getpid(), master.poller, lambda: 0.0) == "address already in use"


def test_the_name_is_free_when_the_master_has_closed_it_whatever_a_child_holds(master):
    child = os.fork()
    if child == 0:
        master.server.close_in_child()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    client = master.connect(Request(Command.UPGRADE))  # still the master's
    assert len(master.asked) == 1
    client.close()
