"""control/subcommands.py: what a command makes of an answer."""

import json
from typing import Any

import pytest

from ostler.config.settings import Settings
from ostler.control import subcommands as module
from ostler.control.client import ControlError, Outcome
from ostler.control.subcommands import Run


@pytest.fixture
def answered(monkeypatch):
    """answered(name, answer, *words) -> stdout."""

    def run(name: str, answer: dict[str, Any], *words: str) -> str:
        out: list[str] = []
        monkeypatch.setattr(module, "ask", lambda *_: Outcome("", answer))
        assert Run(name, out.append, out.append, 80).run(["--socket", "/x", *words], lambda _: Settings.defaults()) == 0
        return "".join(out)

    return run


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("status", {"workers": 5}),
        ("status", {"uptime_s": float("nan"), "incidents": [{}]}),
        ("status", {"uptime_s": float("inf")}),
        ("workers", {"workers": [1]}),
        ("slow", {"in_flight": [{}]}),
        ("stacks", {"processes": "x"}),
    ],
)
def test_an_answer_of_another_shape_is_told_and_may_be_looked_at(answered, name, answer):
    with pytest.raises(ControlError, match=f"{name}: the master behind /x does not answer as expected"):
        answered(name, answer)
    assert answered(name, answer, "--json") == json.dumps(answer, indent=2) + "\n"
