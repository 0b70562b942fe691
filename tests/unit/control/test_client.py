"""The command's side, with a master that is a thread of the test and says what it is told to."""

import contextlib
import os
import socket
import threading

import pytest

from ostler.control import client as module
from ostler.control.address import names_of
from ostler.control.client import ControlError, Where, ask
from ostler.control.protocol import Command, Part, Progress, Request, Result, encode
from ostler.process.peer import Peer

US = Where(os.getpid())
RELOAD = Request(Command.RELOAD)


@pytest.fixture
def answering():
    """answering(*lines): the master, which is this process, says these to the first command; None: and goes."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(names_of(os.getpid())[0])
    listener.listen(1)
    threads = []

    def serve(lines):
        sock, _ = listener.accept()
        with sock, contextlib.suppress(OSError):  # a client that does not believe us goes at once
            for line in lines:
                if line is None:
                    return
                sock.sendall(encode(line))
            while sock.recv(100):
                pass

    def start(*lines):
        thread = threading.Thread(target=serve, args=(lines,))
        thread.start()
        threads.append(thread)

    yield start
    for thread in threads:  # first: a thread may not have come to its accept yet
        thread.join(10)
    listener.close()


def test_the_lines_are_shown_and_the_result_returned(answering):
    answering(Progress("worker ready"), Result(True, "reload complete"))
    shown = []
    assert ask(US, RELOAD, shown.append, 5).text == "reload complete"
    assert shown == ["worker ready"]


def test_a_reason_reaches_the_terminal_without_control_characters(answering):
    answering(Result(False, "reload failed: \x1b]0;owned\x07"))
    with pytest.raises(ControlError) as caught:
        ask(US, RELOAD, print, 5)
    assert str(caught.value) == r"reload failed: \x1b]0;owned\x07"


@pytest.mark.parametrize(("we", "master", "believed"), [(1000, 0, True), (1000, 1000, True), (1000, 1001, False)])
def test_whoever_answers_is_root_or_who_we_are(answering, monkeypatch, we, master, believed):
    monkeypatch.setattr(module, "_geteuid", lambda: we)
    monkeypatch.setattr(module, "peer_of", lambda sock: Peer(os.getpid(), master))
    answering(Result(True, "done"))
    if believed:
        assert ask(US, RELOAD, print, 5).text == "done"
    else:
        with pytest.raises(ControlError, match=rf"is uid {master}'s, not root's nor ours"):
            ask(US, RELOAD, print, 5)


def test_an_answer_in_parts_is_put_together(answering):
    answering(Part('{"workers": [1'), Part(", 2]}"), Result(True, ""))
    assert ask(US, Request(Command.WORKERS), print, 5).data == {"workers": [1, 2]}


@pytest.mark.parametrize("text", ["{", "[]", "[" * 20000])
def test_an_answer_that_is_none_is_an_error(answering, text):
    answering(Part(text), Result(True, ""))
    with pytest.raises(ControlError, match="does not answer as a master: expected JSON"):
        ask(US, Request(Command.WORKERS), print, 5)


def test_an_answer_without_end_is_an_error(answering):
    answering(*[Part("x" * 30000)] * 300)
    with pytest.raises(ControlError, match="expected an answer of at most"):
        ask(US, Request(Command.WORKERS), print, 5)


def test_a_stop_is_done_when_the_master_has_gone_without_a_word(answering):
    answering(Progress("stopping"), None)
    assert ask(US, Request(Command.STOP), lambda text: None, 5).text == "stopped"
