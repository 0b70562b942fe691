"""Which certificate a TLS client gets: by the name that it asks for (SNI, RFC 6066 section 3).

Rules for editing: the callback runs inside OpenSSL's handshake. It looks names up and does nothing else: what it raised
would end on stderr, and the client would get `internal error`.
"""

import re
import ssl
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

_HOST_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")

Choose = Callable[[str | None], ssl.SSLContext | None]
"""The name that a client asks for, or None -> the context whose certificate it gets; None: the one it began with."""


class ServerSide(ssl.SSLObject):
    """The server's side of one connection; remembers the name that its client asked for."""

    asked_for: str | None = None
    """None: for nothing, or for what can be no host name (OpenSSL takes any bytes but NUL)."""


def pick(contexts: Mapping[str, ssl.SSLContext], name: str) -> ssl.SSLContext | None:
    """The context of `name`: that of the name itself, else that of `*.` and all but its first label.

    Keys are in lower case.
    """
    name = name.lower().removesuffix(".")
    exact = contexts.get(name)
    if exact is not None:
        return exact
    label, dot, parent = name.partition(".")
    return contexts.get(f"*.{parent}") if label and dot else None


def listen_for_names(context: ssl.SSLContext, choose: Choose) -> None:
    """Make the connections of `context` remember the names they are asked for, and take the certificate of another.

    A callback that a user's hook has set is called afterwards: it has the last word.
    """
    users: Any = context.sni_callback

    def answer(connection: ssl.SSLObject, name: str | None, initial: ssl.SSLContext) -> Any:
        plausible = name if name is not None and _HOST_NAME.fullmatch(name) else None
        if isinstance(connection, ServerSide):
            connection.asked_for = plausible
        chosen = choose(plausible)
        if chosen is not None:
            connection.context = chosen
        return None if users is None else users(connection, name, initial)

    context.sslobject_class = ServerSide
    context.sni_callback = answer


def drop_undecodable_names() -> None:
    """Let Python say nothing of a client's name that is not ASCII. For a process that serves.

    The ssl module decodes the name before it calls anybody. What fails there cannot be caught: the handshake fails, as
    it should, but a traceback with the client's bytes goes to stderr, each time.
    """
    usual = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs", /) -> None:
        traceback = unraisable.exc_traceback
        in_ssl = traceback is not None and traceback.tb_frame.f_code.co_filename == ssl.__file__
        if not (in_ssl and unraisable.exc_type is UnicodeDecodeError and isinstance(unraisable.object, bytes)):
            usual(unraisable)

    sys.unraisablehook = hook
