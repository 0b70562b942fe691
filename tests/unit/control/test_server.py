"""The operator's socket with real sockets, and a clock and a poll loop of the test's own."""

import contextlib
import json
import os
import resource
import select
import socket

import pytest

from ostler.control import server as module
from ostler.control import wire
from ostler.control.address import names_of
from ostler.control.asker import IDLE_S
from ostler.control.place import Place, Wish, take_place
from ostler.control.protocol import Command, Moved, Progress, Request, Result, decode, encode
from ostler.control.server import ASK_S, LIMIT_CLIENTS, LIMIT_UNSENT_BYTES, Server, open_server
from ostler.control.wire import Frames
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

    def ask(self, asker, request):
        self.asked.append((asker, request))

    def turn(self):
        while ready := self.poller.poll(0):
            for fd, _ in ready:
                self.server.hears(fd, self.ask)

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
    [(asker, request)] = master.asked
    assert (request, asker.peer) == (Request(Command.RELOAD), Peer(os.getpid(), os.geteuid()))
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
        (b'{"kind": "Request", "command": "scale", "words": [1]}\n', "words of a command as a list of texts"),
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
    master.server.each_second(master.ask)
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
    master.server.each_second(master.ask)
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


# -- Gunicorn's protocol, and the file


class Gunicorns:
    """A client of Gunicorn's protocol."""

    def __init__(self, master, path=None):
        self.master = master
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(5)
        self.socket.connect(path or names_of(os.getpid())[0])
        master.turn()
        self.frames = Frames(wire.LIMIT_ANSWER_BYTES)
        self.number = 0

    def send(self, data):
        self.socket.sendall(data)
        self.master.turn()

    def ask(self, command):
        self.number += 1
        self.send(wire.request(self.number, command))

    def heard(self):
        while (payload := self.frames.take()) is None:
            data = self.socket.recv(65536)
            if not data:
                return None
            self.frames.feed(data)
            self.master.turn()
        return json.loads(payload)


@pytest.fixture
def gunicorns(master):
    made = []

    def make(path=None):
        made.append(Gunicorns(master, path))
        return made[-1]

    yield make
    for client in made:
        client.socket.close()


def test_one_connection_carries_many_requests_each_with_its_answer(master, gunicorns):
    client = gunicorns()
    for number, answer in enumerate(["one", "two"], 1):
        client.ask(f"show {answer}")
        asker, request = master.asked.pop()
        assert request.words == ("show", answer)
        asker.tell("progress is not for it")
        asker.answer({"said": answer})
        assert client.heard() == {"id": number, "status": "ok", "data": {"said": answer}}
    client.ask("worker kill x")
    master.asked.pop()[0].end(False, "no")
    assert client.heard() == {"id": 3, "status": "error", "error": "no"}


def test_requests_that_come_together_are_answered_one_after_the_other(master, gunicorns):
    client = gunicorns()
    client.send(wire.request(1, "a") + wire.request(2, "b"))
    [(asker, request)] = master.asked
    assert request.words == ("a",)
    asker.answer({})
    master.server.each_second(master.ask)
    assert [request.words for _, request in master.asked] == [("a",), ("b",)]
    asker.answer({})
    assert [client.heard()["id"] for _ in range(2)] == [1, 2]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (wire.encode([]), "expected a JSON object"),
        (b"\0\xff\xff\xff", "at most 65536 bytes"),
        (b"\0\0\0\1{", "expected JSON"),
    ],
)
def test_nonsense_in_its_protocol_is_answered_in_it_and_ends_the_connection(master, gunicorns, data, said):
    client = gunicorns()
    client.send(data)
    assert said in client.heard()["error"]
    assert client.heard() is None
    assert master.asked == []


def test_half_a_request_is_dropped_and_an_idle_connection_stays_for_a_while(master, gunicorns):
    idle, half = gunicorns(), gunicorns()
    for client in (idle, half):
        client.ask("help")
        master.asked.pop()[0].answer({})
        client.heard()
    half.send(b"\0\0\0\5")
    master.now += ASK_S
    master.server.each_second(master.ask)
    assert half.heard() is None
    idle.ask("help")
    master.asked.pop()[0].answer({})
    assert idle.heard()["id"] == 2
    master.now += IDLE_S
    master.server.each_second(master.ask)
    assert idle.heard() is None


def test_who_only_holds_connections_open_makes_room(master, gunicorns):
    holding = []
    for _ in range(3 * LIMIT_CLIENTS):
        holding.append(gunicorns())
        holding[-1].ask("help")
        master.asked.pop()[0].answer({})
        holding[-1].heard()
    client = master.connect(Request(Command.RELOAD))
    assert len(master.asked) == 1
    assert sum(client.heard() is None for client in holding[: 2 * LIMIT_CLIENTS]) == 2 * LIMIT_CLIENTS
    client.close()


def test_a_flood_behind_a_request_that_waits_is_cut(master, gunicorns):
    client = gunicorns()
    client.ask("stacks")
    [(asker, _)] = master.asked
    client.socket.setblocking(False)
    for _ in range(200):
        with contextlib.suppress(OSError):
            client.socket.send(b"\0\1\0\0" + b"x" * 4096)
        master.turn()
    assert asker.gone


def test_a_large_answer_reaches_who_reads_it_in_either_protocol(master, gunicorns):
    data = {"text": '"\\\n' * 300000}
    client = gunicorns()
    client.ask("x")
    master.asked.pop()[0].answer(data)
    assert client.heard()["data"] == data
    other = master.connect(Request(Command.STACKS, ("7",)))
    asker, request = master.asked.pop()
    assert request.words == ("7",)
    asker.answer(data)
    received = b""
    while b'"Result"' not in received:
        received += other.recv(65536)
        master.turn()
    other.close()
    *parts, result = [decode(line) for line in received.splitlines()]
    assert json.loads("".join(part.text for part in parts)) == data
    assert result == Result(True, "")


@pytest.mark.parametrize(("mode", "heard_"), [(0o600, False), (0o666, True)])
def test_on_its_file_the_mode_says_who_may_ask(master, gunicorns, monkeypatch, tmp_path, mode, heard_):
    path = str(tmp_path / "x.ctl")
    place = take_place(Wish(path, mode, True))
    assert isinstance(place, Place)
    master.server.also_at(place)
    monkeypatch.setattr(module, "peer_of", lambda sock: Peer(7, 4_000_000))
    client = gunicorns(path)
    client.ask("show all")
    assert bool(master.asked) is heard_
    if heard_:
        return
    assert "only root and the user that the server runs as" in client.heard()["error"]
    assert client.heard() is None


def test_the_file_is_removed_at_the_end(master, tmp_path):
    path = str(tmp_path / "x.ctl")
    master.server.also_at(take_place(Wish(path, 0o600, True)))
    assert master.server.place.path == path
    child = os.fork()
    if child == 0:
        master.server.close_in_child()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.path.exists(path)
    master.server.close()
    assert list(tmp_path.iterdir()) == []
