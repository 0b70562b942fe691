"""app/readiness.py: what a lame duck says of itself."""

import asyncio

import pytest

from ostler.app.readiness import AsgiReadiness, Readiness


def ask(gate, path, script=""):
    said = []
    body = gate({"SCRIPT_NAME": script, "PATH_INFO": path}, lambda status, fields: said.append((status, fields)))
    return said[0][0] if said else body


@pytest.fixture
def gate():
    return Readiness(lambda environ, start_response: environ["PATH_INFO"], ["/ready", "/x%20y?a", "/app/ready"])


def test_until_its_end_the_application_answers_everything(gate):
    assert ask(gate, "/ready") == "/ready"


@pytest.mark.parametrize(("path", "script"), [("/ready", ""), ("/x y", ""), ("/ready", "/app")])
def test_then_its_paths_are_not_ready(gate, path, script):
    gate.end()
    assert ask(gate, path, script) == "503 Service Unavailable"


@pytest.mark.parametrize(("path", "script"), [("/", ""), ("/ready/", ""), ("/ready", "/other"), ("", "")])
def test_and_everything_else_is_the_applications(gate, path, script):
    gate.end()
    assert ask(gate, path, script) == path


def test_an_asgi_application_fails_readiness_and_goes_on_with_the_rest():
    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})

    readiness = AsgiReadiness(application, ["/ready%20y?x=1", "/health"])

    def status(raw_path, kind="http"):
        sent = []

        async def send(message):
            sent.append(message)

        asyncio.run(readiness({"type": kind, "raw_path": raw_path}, None, send))
        return sent[0]["status"]

    assert status(b"/health") == 200
    readiness.end()
    assert [status(path) for path in (b"/health", b"/ready%20y", b"/ready y", b"/healthy")] == [503, 503, 503, 200]
    assert status(b"/health", "websocket") == 200
