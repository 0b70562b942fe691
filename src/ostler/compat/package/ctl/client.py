"""`gunicorn.ctl.client`: send commands to a control socket. See ostler/control/wire_client.py.

Rules for editing: names and shapes are Gunicorn's.
"""

import shlex
from collections.abc import Mapping
from typing import Any, Self

from ostler.control.client import ControlError
from ostler.control.wire_client import TIMEOUT_S, WireClient


class ControlClientError(Exception):
    """It cannot be asked, or says that something is wrong."""


class ControlClient:
    """One connection, made when it is needed; `with` closes it."""

    def __init__(self, socket_path: str, timeout: float = TIMEOUT_S) -> None:
        self.socket_path = socket_path
        self.timeout = timeout
        self._client = WireClient(socket_path, timeout)

    def connect(self) -> None:
        """Raises ControlClientError."""
        try:
            self._client.connect()
        except ControlError as error:
            raise ControlClientError(str(error)) from None

    def close(self) -> None:
        self._client.close()

    def send_command(self, command: str, args: list[Any] | None = None) -> Mapping[str, Any]:
        """The data of the answer. Raises ControlClientError."""
        try:
            return self._client.send(command, [str(each) for each in args or ()])
        except ControlError as error:
            raise ControlClientError(str(error)) from None

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def parse_command(line: str) -> tuple[str, list[str]]:
    """`worker add 2` -> ("worker add", ["2"]): arguments begin with the first number or flag."""
    words = shlex.split(line)
    count = next((index for index, word in enumerate(words) if word.isdigit() or word.startswith("-")), len(words))
    return " ".join(words[:count]), words[count:]
