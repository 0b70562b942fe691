"""The clients of tests/faults notice what they are there to notice: servers that do one thing wrong each."""

import re
import socket
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest

from tests.faults.clients import Crowd, Failure, What
from tests.faults.conditions import Style
from tests.integration.harness import free_port
from tests.integration.waiting import wait_until

HEAD = re.compile(rb"(?:GET|POST) /ask/([^/]+)/\d+/(\d+) HTTP/1.1\r\n.*?\r\n\r\n", re.DOTALL)
Answer = Callable[[bytes, int, int, bytes], bytes]
"""answer(token, size, number of the request on its connection, body) -> what is sent. b"": close the connection."""


def right(token: bytes, size: int, number: int, body: bytes) -> bytes:
    filler = (token * (size // len(token) + 1))[:size]
    content = b"%s %d 1 1\n%s" % (token, zlib.crc32(body), filler)
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)


class Fake:
    """Answers every request in its order, each as `answer` says."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.address = ("127.0.0.1", free_port())
        self.listener = socket.create_server(self.address)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock: socket.socket) -> None:
        data, number = b"", 0
        with closing(sock), suppress(OSError):
            while True:
                while (found := HEAD.match(data)) is None:
                    if not (more := sock.recv(65536)):
                        return
                    data += more
                length = re.search(rb"Content-Length: (\d+)", found[0])
                end = found.end() + (int(length[1]) if length else 0)
                while len(data) < end:
                    data += sock.recv(65536)
                body, data = data[found.end() : end], data[end:]
                number += 1
                if not (answer := self.answer(found[1], int(found[2]), number, body)):
                    return
                sock.sendall(answer)
                self.after(sock)

    def after(self, sock: socket.socket) -> None:
        """What happens when an answer was sent."""

    def close(self) -> None:
        # close() alone would leave accept() waiting, and the port open.
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


@pytest.fixture
def fake() -> Iterator[Callable[[Answer], Fake]]:
    made: list[Fake] = []

    def make(answer: Answer) -> Fake:
        made.append(Fake(answer))
        return made[-1]

    yield make
    for each in made:
        each.close()


def met(server: Fake, style: Style) -> Counter[What]:
    """What clients of one style met with until something failed."""
    with Crowd(server.address, each=1, styles=(style,)) as crowd:
        wait_until(lambda: crowd.tally.failures, "something fails")
    return Counter(failure.what for failure in crowd.failures()[0])


@pytest.mark.parametrize("style", Style)
def test_a_server_that_answers_all_has_no_failure(fake: Callable[[Answer], Fake], style: Style) -> None:
    with Crowd(fake(right).address, each=2, styles=(style,)) as crowd:
        crowd.wait_for(30)
    assert crowd.failures() == ([], [])


def test_a_connection_that_ends_between_two_answers_is_no_loss() -> None:
    """The server said nothing of it, but the client can see it before it sends."""

    class Ending(Fake):
        def serve(self, sock: socket.socket) -> None:
            # The end comes with the answer's last bytes. Behind them it could come when the client has asked already.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            super().serve(sock)

        def after(self, sock: socket.socket) -> None:
            sock.shutdown(socket.SHUT_WR)

    server = Ending(right)
    with closing(server), Crowd(server.address, each=1, styles=(Style.KEEP_ALIVE,)) as crowd:
        crowd.wait_for(5)
    assert crowd.failures() == ([], [])
    assert crowd.tally.reconnects >= 4


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        ("lost", lambda token, size, number, body: b"" if number == 3 else right(token, size, number, body)),
        ("lost", lambda token, size, number, body: right(token, size, number, body)[:-1] if number == 3 else b""),
        ("wrong", lambda token, size, number, body: right(b"another", size, number, body)),
        ("wrong", lambda token, size, number, body: right(token, size + 1, number, body)),
        ("wrong", lambda token, size, number, body: right(token, size, number, body + b"x")),
        ("wrong", lambda *_: b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
        ("wrong", lambda *_: b"no HTTP at all\r\n\r\n"),
        ("wrong", lambda *given: right(*given) + b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("style", [Style.KEEP_ALIVE, Style.PIPELINING])
def test_what_a_server_does_wrong_is_counted(
    fake: Callable[[Answer], Fake], style: Style, what: What, answer: Answer
) -> None:
    assert met(fake(answer), style)[what] >= 1


def test_all_of_a_pipeline_behind_a_cut_is_lost(fake: Callable[[Answer], Fake]) -> None:
    """Also when the answer before said that the connection closes: all had been sent."""

    def answer(token: bytes, size: int, number: int, body: bytes) -> bytes:
        if number == 2:
            return b""
        return right(token, size, number, body).replace(b"200 OK\r\n", b"200 OK\r\nConnection: close\r\n")

    with Crowd(fake(answer).address, each=1, styles=(Style.PIPELINING,)) as crowd:
        wait_until(lambda: len(crowd.tally.failures) >= 10, "pipelines are cut")
    assert {failure.what for failure in crowd.failures()[0]} == {"lost"}
    assert crowd.tally.right[Style.PIPELINING] > 0


def test_answers_in_another_order_are_wrong(fake: Callable[[Answer], Fake]) -> None:
    held: list[bytes] = []

    def swap(token: bytes, size: int, number: int, body: bytes) -> bytes:
        """Hold the first answer back (a 100 is none), and send it behind the second."""
        if number == 1:
            held.append(right(token, size, number, body))
            return b"HTTP/1.1 100 Continue\r\n\r\n"
        return right(token, size, number, body) + (held.pop() if number == 2 else b"")

    assert met(fake(swap), Style.PIPELINING)["wrong"] >= 1


def test_closed_doors_are_a_failure_while_the_service_should_be_up(fake: Callable[[Answer], Fake]) -> None:
    server = fake(right)
    with Crowd(server.address, each=1) as crowd:
        crowd.wait_for(3)
        server.close()
        wait_until(lambda: any(each.what == "refused" for each in list(crowd.tally.failures)), "somebody is refused")
    # Who was in its queue when it closed was let in, and is lost.
    assert {failure.what for failure in crowd.failures()[0]} - {"lost"} == {"refused"}


def test_who_comes_after_the_doors_were_closed_is_turned_away_when_the_end_was_expected() -> None:
    def failed(what: What, token: str, at: float) -> Failure:
        return Failure(Style.NEW, what, token, at, at + 1, "")

    before, late, refused = failed("lost", "a", 4.9), failed("lost", "b", 5.1), failed("refused", "c", 5.2)
    by_proxy, by_server = failed("wrong", "d", 4.9), failed("wrong", "e", 4.9)
    crowd = Crowd(("127.0.0.1", 1))
    crowd.tally.failures = [before, late, refused, by_proxy, by_server]
    crowd.tally.connected_at = 5.0
    assert crowd.failures() == (crowd.tally.failures, []), "nobody expected the end"
    crowd.ending = True
    assert crowd.failures() == ([before, by_proxy, by_server], [late, refused])
    assert crowd.failures(frozenset("d")) == ([before, by_server], [late, refused, by_proxy])


def test_a_refusal_counts_when_somebody_got_in_after_it_was_seen() -> None:
    def refused(token: str, began_at: float, seen_at: float) -> Failure:
        return Failure(Style.NEW, "refused", token, began_at, seen_at, "")

    slow_to_knock, at_an_open_door = refused("a", 4.9, 5.1), refused("b", 4.8, 4.9)
    crowd = Crowd(("127.0.0.1", 1))
    crowd.tally.failures = [slow_to_knock, at_an_open_door]
    crowd.tally.connected_at = 5.0
    crowd.ending = True
    assert crowd.failures() == ([at_an_open_door], [slow_to_knock])


def test_clients_leave_when_they_find_the_doors_of_an_ending_service_closed(fake: Callable[[Answer], Fake]) -> None:
    server = fake(right)
    with Crowd(server.address, each=1) as crowd:
        crowd.wait_for(3)
        crowd.expect_the_end()
        server.close()
        wait_until(crowd.leaving.is_set, "the clients leave")
    assert "refused" in {failure.what for failure in crowd.failures()[1]}
