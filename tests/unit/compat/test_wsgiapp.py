"""The script `gunicorn`: our command, whose commands are applications there."""

import sys

import pytest

from ostler.compat import wsgiapp


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ([], []),
        (["status:app", "-w", "2"], ["status:app", "-w", "2"]),
        (["-w", "2", "status"], ["-w", "2", "status"]),
        (["status"], ["--", "status"]),
        (["control", "-w", "2"], ["-w", "2", "--", "control"]),
    ],
)
def test_a_module_called_as_one_of_our_commands_is_an_application(monkeypatch, words, given):
    seen = []
    monkeypatch.setattr("ostler.cli.main", lambda argv: seen.append(argv) or 0)
    monkeypatch.setattr(sys, "argv", ["gunicorn", *words])
    with pytest.raises(SystemExit) as caught:
        wsgiapp.run()
    assert (seen, caught.value.code) == ([given], 0)
