"""What comes of a WebSocket client's bytes, one message or control frame at a time.

Rules for editing: slotted but not frozen, for one is made for each message (a frozen one takes three times as long).
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Text:
    """A message of text."""

    data: str


@dataclass(slots=True)
class Binary:
    """A message of bytes."""

    data: bytes


@dataclass(slots=True)
class Ping:
    """The client pinged; the pong is queued."""

    data: bytes


@dataclass(slots=True)
class Pong:
    """The client answered a ping, or says that it is there."""

    data: bytes


@dataclass(slots=True)
class Closed:
    """The connection is over: always the last event, and there is always one."""

    code: int
    """The client's code; 1005: its close frame has none; 1006: the connection broke; else why we ended it."""
    reason: str
    by_client: bool = False
    """The client sent a close frame; False: the connection broke, or the client broke the rules (`reason` says how)."""


Event = Text | Binary | Ping | Pong | Closed
