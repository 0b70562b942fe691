"""app/readiness.py: what a lame duck says of itself."""

import pytest

from ostler.app.readiness import Readiness


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
