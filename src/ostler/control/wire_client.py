"""A client of Gunicorn's protocol (wire.py): connect to a control socket, send commands, get data.

Rules for editing: what a broken server writes raises ControlError, and nothing else.
"""

import os
import socket as _socket
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ostler.control import wire
from ostler.control.client import ControlError, connect
from ostler.control.protocol import ProtocolError
from ostler.control.wire import Frames
from ostler.errors import reason_of

TIMEOUT_S: Final = 30.0
_BLOCK: Final = 65536


class WireClient:
    """One connection; made anew when it was closed, as a server closes one that was idle."""

    def __init__(self, path: str, timeout_s: float = TIMEOUT_S) -> None:
        self.path = os.path.abspath(path)
        self._timeout_s = timeout_s
        self._socket: _socket.socket | None = None
        self._number = 0

    def connect(self) -> None:
        """Raises ControlError. Connected already: does nothing."""
        if self._socket is not None:
            return
        try:
            sock, _ = connect(self.path)
        except OSError as error:
            raise ControlError(f"cannot connect to {self.path}: {reason_of(error)}") from None
        sock.settimeout(self._timeout_s)
        self._socket = sock

    def send(self, command: str, args: Sequence[str] = ()) -> Mapping[str, Any]:
        """The data of the answer. Raises ControlError, with the server's words when it says that something is wrong."""
        self.connect()
        assert self._socket is not None
        self._number += 1
        try:
            self._socket.sendall(wire.request(self._number, command, tuple(args)))
            found = wire.data_of(self._payload(self._socket))
        except ProtocolError as error:
            self.close()
            raise ControlError(f"what answers at {self.path} does not speak this protocol: {error}") from None
        except TimeoutError:
            self.close()
            raise ControlError(f"no answer within {self._timeout_s:g} s: the master may be stopped") from None
        except OSError as error:
            self.close()
            raise ControlError(f"the connection to {self.path} ended: {reason_of(error)}") from None
        if isinstance(found, str):
            raise ControlError(found)
        return found

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _payload(self, sock: _socket.socket) -> bytes:
        frames = Frames(wire.LIMIT_ANSWER_BYTES)
        while (payload := frames.take()) is None:
            data = sock.recv(_BLOCK)
            if not data:
                raise ConnectionResetError(0, "the server closed it")
            frames.feed(data)
        return payload
