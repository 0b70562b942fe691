"""What ASGI applications put into their messages, and raise: read, and checked; errors say what was expected.

Rules for editing: pure. Every mistake of an application is a TypeError here.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from ostler.app.wsgi_input import ClientGone

Fields = list[tuple[str, str]]

_CONSEQUENCES: Final = frozenset(("ClientDisconnect", "ClientDisconnected", "RequestAborted", "WouldBlock"))
"""Names of the exceptions by which frameworks end a call whose client has left."""


def is_consequence(error: BaseException) -> bool:
    """Whether a call ended because its client had left: by our own exceptions, or what frameworks make of them."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_consequence(each) for each in error.exceptions)
    if isinstance(error, OSError | asyncio.CancelledError) or type(error).__name__ in _CONSEQUENCES:
        return True
    cause = error.__cause__ or error.__context__
    return cause is not None and cause is not error and isinstance(cause, ClientGone)


def status_of(value: object) -> int:
    """An IntEnum is a number, too; True is none."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"ASGI: expected an int for status, found {type(value).__name__}")
    return int(value)


def text_fields(pairs: Iterable[Any]) -> Fields:
    """(name, value) in bytes -> in text; text is taken as it is, as Gunicorn does."""
    try:
        if type(pairs) is not list:
            pairs = list(pairs)  # an iterator can be read once
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs]
    except AttributeError:
        return [(text_of(name), text_of(value)) for name, value in pairs]
    except (TypeError, ValueError):
        raise TypeError("ASGI: expected headers as pairs of bytes") from None


def text_of(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("latin-1")
    raise TypeError(f"ASGI: expected bytes in headers, found {type(value).__name__}")


def bytes_of(body: object) -> bytes:
    """A copy: the application may use its buffer again as soon as `send` is back."""
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    raise TypeError(f"ASGI: expected bytes for body, found {type(body).__name__}")
