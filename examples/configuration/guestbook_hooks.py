"""Hooks for ostler.toml: there they are named by their paths."""

from typing import Any


def when_ready(server: Any) -> None:
    server.log.info("the guestbook is open")
