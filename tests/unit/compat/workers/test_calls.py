"""compat/workers/calls.py: what an overridden handle_request is given."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from ostler.compat.workers.calls import Call, around, through_pool

LOG = logging.getLogger("a test's")


class Runner:
    def __init__(self):
        self.served, self.failed = [], []

    def __call__(self, client, row):
        self.served.append((client, row))

    def fail(self, client, row, error):
        self.failed.append((client, row, error))


def client():
    head = SimpleNamespace(method="GET", target="/a?b", path="/a", query="b", fields=[("host", "h")], minor=1)
    peer = SimpleNamespace(address=("192.0.2.1", 7), local=("127.0.0.1", 80), proxied=None)
    environ = SimpleNamespace(base={"wsgi.url_scheme": "https"})
    return SimpleNamespace(exchange=SimpleNamespace(head=head, peer=peer), environ=environ)


def run(handle):
    runner, asked = Runner(), client()
    around(handle, LOG, runner)(asked, 3)
    return runner, asked


def test_a_call_that_is_passed_on_is_served():
    runner, asked = run(lambda call: call.serve())
    assert (runner.served, runner.failed) == ([(asked, 3)], [])


def test_a_request_that_is_forgotten_is_a_500():
    runner, _ = run(lambda call: None)
    assert "did not call super().handle_request" in str(runner.failed[0][2])


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit(3)])
def test_a_request_whose_method_raises_is_a_500(error):
    def handle(call):
        raise error

    runner, asked = run(handle)
    assert runner.failed == [(asked, 3, error)]


def test_what_is_raised_after_the_answer_is_logged_only(caplog):
    def handle(call):
        call.serve()
        raise KeyError("late")

    runner, _ = run(handle)
    assert (len(runner.served), runner.failed) == (1, [])
    assert "handle_request raised after the request was served" in caplog.text


def test_a_call_shows_its_connection_and_request():
    call = Call(client(), 0, Runner())
    assert (call.getpeername(), call.client) == (("192.0.2.1", 7), ("192.0.2.1", 7))
    assert (call.getsockname(), call.server, call.sock) == (("127.0.0.1", 80), ("127.0.0.1", 80), call)
    request = call.request()
    assert (request.method, request.uri, request.path, request.scheme) == ("GET", "/a?b", "/a", "https")
    with pytest.raises(AttributeError, match="the server reads and writes its clients"):
        call.recv  # noqa: B018


def test_a_request_is_served_once_and_only_by_its_call():
    call = Call(client(), 0, Runner())
    call.serve()
    with pytest.raises(RuntimeError, match="served once"):
        call.serve()
    with pytest.raises(TypeError, match="pass on the client"):
        Call.of(object())


def test_a_pool_of_ones_own_has_the_threads_that_serve():
    runner, asked = Runner(), client()
    names = []
    with ThreadPoolExecutor(1, thread_name_prefix="herd") as pool:
        serve = through_pool(pool, lambda *given: names.append((threading.current_thread().name, given)), runner)
        serve(asked, 3)
    assert names == [("herd_0", (asked, 3))]
    serve(asked, 3)
    assert "cannot schedule new futures after shutdown" in str(runner.failed[0][2])
