"""Real sockets on loopback: what is sent arrives, what cannot be waits or is counted, and nobody is kept waiting."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from ostler.observe.line import Loss
from ostler.observe.remote import Remote, Wiring
from ostler.observe.resolve import Answer, Endpoint
from ostler.observe.route import Destination, Kind
from tests.unit.observe.remotes import (
    HOST,
    Desk,
    ToldResolver,
    accepted,
    free_port,
    port_of,
    read_bytes,
    received,
    tcp_server,
    udp_server,
)

Make = Callable[..., Remote]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def make(desk: Desk) -> Iterator[Make]:
    made: list[Remote] = []

    def build(kind: Kind, host: str = "", port: int = 0, path: str | Path = "", queue_bytes: int = 262144) -> Remote:
        made.append(Remote(Destination(kind, host, port, str(path)), desk.wiring, queue_bytes))
        return made[-1]

    yield build
    for remote in made:
        remote.close()


def unix_server(path: Path, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, kind)
    server.bind(str(path))
    server.settimeout(10)
    if kind == socket.SOCK_STREAM:
        server.listen()
    return server


# --- UDP


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_datagrams_arrive_one_by_one(make: Make, host: str) -> None:
    with udp_server(host=host) as server:
        remote = make("udp", host, port_of(server))
        remote.send(b"one", b"two")
        remote.send(b"three")
        assert received(server, 3) == [b"one", b"two", b"three"]
        assert remote.dropped == 0


def test_refused_datagrams_are_counted_and_the_service_is_found_when_it_starts(make: Make, desk: Desk) -> None:
    port = free_port(socket.SOCK_DGRAM)
    remote = make("udp", HOST, port, queue_bytes=0)
    for _ in range(10):
        remote.send(b"lost")
    assert remote.dropped == 9  # that the tenth was refused is told at the next
    with udp_server(port) as server:
        remote.send(b"found")
        assert received(server, 1) == [b"found"]
    assert remote.dropped == 10


def test_localhost_finds_a_service_that_speaks_ipv6_only(make: Make, desk: Desk) -> None:
    with udp_server(host="::1") as server:
        remote = make("udp", "localhost", port_of(server), queue_bytes=0)
        remote.send(b"to ipv4: refused")
        remote.send(b"to ipv6")
        assert received(server, 1) == [b"to ipv6"]


def test_a_datagram_that_is_too_long_is_counted_and_hurts_no_other(make: Make) -> None:
    with udp_server() as server:
        remote = make("udp", HOST, port_of(server))
        remote.send(b"x" * 70_000)
        remote.send(b"short")
        assert received(server, 1) == [b"short"]
        assert remote.dropped == 1


# --- names


def test_what_is_sent_while_a_name_is_looked_up_waits(make: Make, desk: Desk) -> None:
    with udp_server() as server:
        remote = make("udp", "loghost", port_of(server))
        remote.send(b"early")
        assert desk.resolver.asked == [("loghost", port_of(server))]
        desk.resolver.answer = Answer((Endpoint(socket.AF_INET, (HOST, port_of(server))),))
        remote.flush()
        assert received(server, 1) == [b"early"]


def test_a_name_that_does_not_resolve_costs_messages_and_nothing_else(make: Make, desk: Desk) -> None:
    desk.resolver.answer = Answer((), "name or service not known")
    remote = make("udp", "loghost", 514, queue_bytes=10)
    remote.send(b"12345")
    remote.send(b"67890")
    remote.send(b"x")
    assert remote.dropped == 1
    assert desk.losses == [Loss("udp://loghost:514", 1, "cannot look up loghost: name or service not known", False)]
    with udp_server() as server:
        desk.resolver.answer = Answer((Endpoint(socket.AF_INET, (HOST, port_of(server))),))
        desk.clock.now += 1.5
        remote.flush()
        assert received(server, 2) == [b"12345", b"67890"]


def test_a_name_that_moves_is_followed_within_five_minutes(make: Make, desk: Desk) -> None:
    with udp_server() as before, udp_server() as after:
        desk.resolver.answer = Answer((Endpoint(socket.AF_INET, (HOST, port_of(before))),))
        remote = make("udp", "loghost", 514)
        remote.send(b"1")
        assert received(before, 1) == [b"1"]
        desk.resolver.answer = None
        desk.clock.now += 301
        remote.send(b"2")  # the look-up runs: the former address is good meanwhile
        assert received(before, 1) == [b"2"]
        desk.resolver.answer = Answer((Endpoint(socket.AF_INET, (HOST, port_of(after))),))
        remote.send(b"3")
        assert received(after, 1) == [b"3"]
        assert len(desk.resolver.asked) == 2


def test_a_worker_asks_a_resolver_of_its_own_kind(make: Make, desk: Desk) -> None:
    remote = make("udp", "loghost", 514)
    remote.send(b"asks the master's")
    other = ToldResolver()
    remote.resolve_with(lambda: other)
    remote.flush()
    assert (len(desk.resolver.asked), len(other.asked)) == (1, 1)


# --- TCP


def test_lines_over_tcp_arrive_in_order_once_it_is_connected(make: Make) -> None:
    with tcp_server() as server:
        remote = make("tcp", HOST, port_of(server))
        remote.send(b"one\n", b"two\n")
        with accepted(server) as connection:
            remote.flush()
            remote.send(b"three\n")
            assert read_bytes(connection, 14) == b"one\ntwo\nthree\n"


def test_a_tcp_service_that_restarts_loses_nothing(make: Make, desk: Desk) -> None:
    with tcp_server() as server:
        port = port_of(server)
        remote = make("tcp", HOST, port)
        remote.send(b"one\n")
        with accepted(server) as connection:
            remote.flush()
            assert read_bytes(connection, 4) == b"one\n"
    desk.clock.now += 5
    remote.send(b"two\n")
    remote.send(b"three\n")
    with tcp_server(port) as server:
        desk.clock.now += 60
        remote.flush()
        with accepted(server) as connection:
            remote.flush()
            assert read_bytes(connection, 10) == b"two\nthree\n"
    assert remote.dropped == 0
    assert desk.losses == []


def test_a_dead_tcp_service_is_asked_again_with_pauses(make: Make, desk: Desk) -> None:
    port = free_port()
    remote = make("tcp", HOST, port)
    remote.send(b"waits\n")
    with tcp_server(port) as server:
        server.settimeout(0.05)
        remote.flush()
        with pytest.raises(TimeoutError):
            server.accept()
        desk.clock.now += 1.1
        remote.flush()
        server.settimeout(10)
        with accepted(server) as connection:
            remote.flush()
            assert read_bytes(connection, 6) == b"waits\n"


def test_the_queue_is_bounded_and_the_loss_reported_once_a_minute_and_at_its_end(make: Make, desk: Desk) -> None:
    port = free_port()
    remote = make("tcp", HOST, port, queue_bytes=10)
    for _ in range(5):
        remote.send(b"12345")
    assert remote.dropped == 3
    assert desk.losses == [Loss(f"tcp://127.0.0.1:{port}", 1, "connection refused", False)]
    desk.clock.now += 61
    remote.send(b"12345")
    assert desk.losses[1:] == [Loss(f"tcp://127.0.0.1:{port}", 3, "connection refused", False)]
    with tcp_server(port) as server:
        desk.clock.now += 61
        remote.send(b"12345")
        with accepted(server) as connection:
            remote.flush()
            assert read_bytes(connection, 10) == b"1234512345"
            assert [(loss.messages, loss.working) for loss in desk.losses[2:]] in ([(1, False), (0, True)], [(0, True)])
            assert remote.dropped == sum(loss.messages for loss in desk.losses)
            told = len(desk.losses)
            remote.send(b"more")
            assert read_bytes(connection, 4) == b"more"
            assert len(desk.losses) == told


def test_a_reader_that_stops_reading_keeps_nobody_waiting(make: Make, desk: Desk) -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.bind((HOST, 0))
        server.listen()
        remote = make("tcp", HOST, port_of(server), queue_bytes=50_000)
        pass_by = b"x" * 9_999 + b"\n"
        remote.send(pass_by)
        with accepted(server) as connection:
            sent = 1
            started = time.monotonic()
            while remote.dropped == 0:
                remote.send(pass_by)
                sent += 1
            assert time.monotonic() - started < 5
            assert desk.losses[0].error == "the other end does not read"
            # it reads again: each line that was not counted as lost arrives whole
            lines = sent - remote.dropped
            data = b""
            while len(data) < lines * len(pass_by):
                data += connection.recv(65536)
                remote.flush()
            assert data == pass_by * lines


def test_a_line_that_was_cut_by_a_broken_connection_is_sent_whole_on_the_next(make: Make, desk: Desk) -> None:
    line = b"y" * 8_000_000 + b"\n"
    with tcp_server() as server:
        remote = make("tcp", HOST, port_of(server), queue_bytes=len(line))
        remote.send(line)
        with accepted(server) as connection:
            remote.flush()
            assert connection.recv(10) == b"y" * 10
        desk.clock.now += 2
        remote.flush()
        remote.flush()
        with accepted(server) as connection:
            data = b""
            while len(data) < len(line):
                remote.flush()
                data += connection.recv(1 << 20)
            assert data == line


def test_what_a_service_says_is_ignored(make: Make) -> None:
    with tcp_server() as server:
        remote = make("tcp", HOST, port_of(server))
        remote.send(b"1")
        with accepted(server) as connection:
            connection.sendall(b"hello?")
            remote.flush()
            remote.send(b"2")
            assert read_bytes(connection, 2) == b"12"


# --- Unix sockets


def test_a_unix_path_of_either_kind_is_found(make: Make, tmp_path: Path) -> None:
    with unix_server(tmp_path / "dgram") as server:
        make("unix", path=tmp_path / "dgram").send(b"datagram")
        assert received(server, 1) == [b"datagram"]
    with unix_server(tmp_path / "stream", socket.SOCK_STREAM) as server:
        make("unix", path=tmp_path / "stream").send(b"stream\0")
        with accepted(server) as connection:
            assert read_bytes(connection, 7) == b"stream\0"


def test_a_unix_path_may_come_later_and_again(make: Make, desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "log"
    remote = make("unix", path=path)
    remote.send(b"early")
    for turn in range(3):
        with unix_server(path) as server:
            desk.clock.now += 1.1
            remote.send(b"turn %d" % turn)
            assert received(server, 1 + (turn == 0))[-1] == b"turn %d" % turn
        path.unlink()
        # nobody was told that the daemon has gone: the first message finds out
    remote.send(b"late")
    assert remote.dropped == 0


def test_a_unix_datagram_socket_that_is_full_keeps_nobody_waiting(make: Make, desk: Desk, tmp_path: Path) -> None:
    with unix_server(tmp_path / "log") as server:
        remote = make("unix-dgram", path=tmp_path / "log", queue_bytes=500)
        sent = 0
        while remote.dropped == 0:
            remote.send(b"%04d" % sent)
            sent += 1
        assert desk.losses[0].error == "the other end does not read"
        found: list[int] = []
        while len(found) < sent - 1:
            found.append(int(server.recv(100)))
            remote.flush()
        assert found == list(range(sent - 1))
        # a queue of none, as for metrics: what is not taken is lost
        hasty = make("unix-dgram", path=tmp_path / "log", queue_bytes=0)
        for _ in range(5000):
            hasty.send(b"x")
        assert hasty.dropped > 0


def test_a_path_that_is_too_long_is_a_loss_and_not_an_error(make: Make, desk: Desk) -> None:
    remote = make("unix", path="/x" * 200, queue_bytes=0)
    remote.send(b"1")
    assert (remote.dropped, desk.losses[0].error) == (1, "af_unix path too long")


# --- threads, signals, forks


def test_threads_lose_nothing_and_mix_nothing(make: Make) -> None:
    with tcp_server() as server:
        remote = make("tcp", HOST, port_of(server), queue_bytes=10_000_000)
        each, threads = 500, 8

        def speak(name: int) -> None:
            for number in range(each):
                remote.send(b"%d %d\n" % (name, number))

        speakers = [threading.Thread(target=speak, args=(name,)) for name in range(threads)]
        for speaker in speakers:
            speaker.start()
        with accepted(server) as connection:
            data = b""
            while data.count(b"\n") < each * threads:
                remote.flush()
                data += connection.recv(65536)
        for speaker in speakers:
            speaker.join()
        lines = [tuple(map(int, line.split())) for line in data.splitlines()]
        assert sorted(lines) == [(name, number) for name in range(threads) for number in range(each)]
        for name in range(threads):
            numbers = [number for speaker, number in lines if speaker == name]
            assert numbers == sorted(numbers)
        assert remote.dropped == 0


def test_a_signal_handler_may_send_in_the_middle_of_a_send(make: Make, desk: Desk) -> None:
    with udp_server() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        remote = make("udp", HOST, port_of(server))
        handled = 0

        def handler(_number: int, _frame: FrameType | None) -> None:
            nonlocal handled
            handled += 1
            remote.send(b"handler")

        formerly = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        try:
            sent = 0
            while handled < 100:
                remote.send(b"main")
                sent += 1
                if sent % 50 == 0:
                    server.setblocking(False)
                    while True:
                        try:
                            server.recv(100)
                        except BlockingIOError:
                            break
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, formerly)
        assert remote.dropped == 0
        server.settimeout(10)
        remote.send(b"last")
        while server.recv(100) != b"last":
            pass


def test_whoever_hears_of_a_loss_may_send(desk: Desk) -> None:
    def report(loss: Loss) -> None:
        desk.losses.append(loss)
        remote.send(b"lost something")

    desk.resolver.answer = Answer((), "name or service not known")
    remote = Remote(Destination("udp", "loghost", 514), Wiring(lambda: desk.resolver, report, desk.clock), 0)
    remote.send(b"x")
    assert remote.dropped == 2
    assert len(desk.losses) == 1
    remote.close()


def in_child(run: Callable[[], None]) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            run()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_child_makes_a_connection_of_its_own_and_sends_nothing_of_its_parents(make: Make) -> None:
    with tcp_server() as server:
        remote = make("tcp", HOST, port_of(server))
        remote.send(b"parent 1\n")
        with accepted(server) as parents:
            remote.flush()

            def speak() -> None:
                remote.send(b"child\n")
                remote.flush()

            in_child(speak)
            with accepted(server) as childs:
                assert read_bytes(childs, 100) == b"child\n"  # and its end: the child has left
            remote.send(b"parent 2\n")
            assert read_bytes(parents, 18) == b"parent 1\nparent 2\n"


def test_a_child_leaves_the_parents_queue_and_count_to_the_parent(make: Make) -> None:
    port = free_port()
    remote = make("tcp", HOST, port, queue_bytes=10)
    remote.send(b"1234567890")
    remote.send(b"lost")

    def look() -> None:
        assert remote.dropped == 0
        remote.send(b"0987654321")
        assert remote.dropped == 0

    in_child(look)
    assert remote.dropped == 1


def test_a_child_shares_a_datagram_socket(make: Make) -> None:
    with udp_server() as server:
        remote = make("udp", HOST, port_of(server))
        remote.send(b"parent")
        source = server.recvfrom(100)[1]
        in_child(lambda: remote.send(b"child"))
        assert server.recvfrom(100) == (b"child", source)
        remote.send(b"parent again")
        assert server.recvfrom(100) == (b"parent again", source)


def test_closing_counts_what_waits_and_leaves_no_socket(desk: Desk) -> None:
    before = len(os.listdir("/proc/self/fd"))
    remote = Remote(Destination("tcp", HOST, free_port()), desk.wiring)
    remote.send(b"1")
    remote.send(b"2")
    remote.close()
    assert remote.dropped == 2
    assert desk.losses[0].messages == 2
    assert len(os.listdir("/proc/self/fd")) == before
