"""Attributes that hooks have stored: each goes by itself, and what cannot go says why."""

import threading
from typing import Any

from ostler.compat.attributes import pack, unpack


def test_what_can_be_pickled_comes_back() -> None:
    attributes: dict[str, Any] = {"number": 3, "nested": {"a": [1, (2, b"x")]}, "u\u00fc": None}
    text, problems = pack(attributes, 1000)
    assert problems == {}
    assert unpack(text) == (attributes, {})


def test_nothing_is_nothing() -> None:
    assert pack({}, 1000) == ("", {})
    assert unpack("") == ({}, {})


def test_what_cannot_be_pickled_takes_no_other_along() -> None:
    text, problems = pack({"lock": threading.Lock(), "function": lambda: 1, "good": 1}, 1000)
    assert sorted(problems) == ["function", "lock"]
    assert "pickle" in problems["lock"]
    assert unpack(text) == ({"good": 1}, {})


def test_too_much_is_left_out_and_told() -> None:
    text, problems = pack({"small": 1, "big": b"x" * 1000}, 200)
    assert len(text) <= 200
    assert unpack(text) == ({"small": 1}, {})
    assert "200" in problems["big"]


class Unwilling:
    def __setstate__(self, state: object) -> None:
        raise RuntimeError("not here")

    def __getstate__(self) -> dict[str, int]:
        return {"a": 1}


def test_what_does_not_arrive_is_told() -> None:
    text, problems = pack({"odd": Unwilling(), "good": 1}, 1000)
    assert problems == {}
    assert unpack(text) == ({"good": 1}, {"odd": "RuntimeError: not here"})
