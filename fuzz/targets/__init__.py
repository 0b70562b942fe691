"""What is fuzzed, by name. A target is a module with `check(data)`, `seeds()` and so on; see `Target`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Final

NAMES: Final = ("requests", "responses", "proxy_headers", "uwsgi_packets", "client_addresses", "websocket_frames")


@dataclass(frozen=True)
class Target:
    """One target. Made after the code under test was instrumented, because loading it imports that code."""

    name: str
    check: Callable[[bytes], None]
    """Raises Finding (or whatever escapes the code under test)."""
    seeds: Callable[[bool], Iterable[bytes]]
    """Inputs to begin with; with True only those of well-formed messages, under the plain settings."""
    describe: Callable[[bytes], str]
    """An input in words, for a replay."""
    settings_bytes: int
    """So many bytes at the front of an input are settings, and no words of the protocol."""


def load(name: str) -> Target:
    """The target of that name."""
    module = import_module(f"fuzz.targets.{name}")
    return Target(name, module.check, module.seeds, module.describe, module.SETTINGS_BYTES)
