"""The command's side, with a master that is a thread of the test and says what it is told to."""

import contextlib
import os
import socket
import threading

import pytest

from ostler.control import client as module
from ostler.control.address import names_of
from ostler.control.client import ControlError, ask
from ostler.control.protocol import Command, Progress, Result, encode
from ostler.process.peer import Peer


@pytest.fixture
def answering():
    """answering(*lines): the master, which is this process, says these to the first command."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(names_of(os.getpid())[0])
    listener.listen(1)
    threads = []

    def serve(lines):
        sock, _ = listener.accept()
        with sock, contextlib.suppress(OSError):  # a client that does not believe us goes at once
            for line in lines:
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
    assert ask(os.getpid(), Command.RELOAD, shown.append, 5) == "reload complete"
    assert shown == ["worker ready"]


def test_a_reason_reaches_the_terminal_without_control_characters(answering):
    answering(Result(False, "reload failed: \x1b]0;owned\x07"))
    with pytest.raises(ControlError) as caught:
        ask(os.getpid(), Command.RELOAD, print, 5)
    assert str(caught.value) == r"reload failed: \x1b]0;owned\x07"


@pytest.mark.parametrize(("we", "master", "believed"), [(1000, 0, True), (1000, 1000, True), (1000, 1001, False)])
def test_whoever_answers_is_root_or_who_we_are(answering, monkeypatch, we, master, believed):
    monkeypatch.setattr(module, "_geteuid", lambda: we)
    monkeypatch.setattr(module, "peer_of", lambda sock: Peer(os.getpid(), master))
    answering(Result(True, "done"))
    if believed:
        assert ask(os.getpid(), Command.RELOAD, print, 5) == "done"
    else:
        with pytest.raises(ControlError, match=rf"is uid {master}'s, not root's nor ours"):
            ask(os.getpid(), Command.RELOAD, print, 5)
