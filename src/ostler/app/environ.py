"""The environ of PEP 3333, built from a request's head.

One `EnvironTemplate` a worker holds what never changes; `for_connection` adds the peer and decides trust once a
connection; `build` copies that and adds the request. Which fields may become which keys is `http/forwarded.py`'s rule.

Anchors: PEP 3333, RFC 3875 section 4.1, and Gunicorn's environ where it goes beyond them (RAW_URI, REMOTE_PORT,
`wsgi.input_terminated`, SCRIPT_NAME from the process environment or a trusted proxy).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from ostler.config.settings import Settings
from ostler.http.connection import Peer
from ostler.http.errors import HttpError
from ostler.http.forwarded import FieldPolicy, scheme_of
from ostler.http.head import PROTOCOLS, RequestHead

Environ = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ConnectionEnviron:
    """What every request of one connection shares."""

    base: Environ
    policy: FieldPolicy
    trusted: bool


class EnvironTemplate:
    """Makes environs for one worker."""

    def __init__(self, settings: Settings, constants: Mapping[str, Any], process_environ: Mapping[str, str]) -> None:
        """`constants` are the worker's own keys (wsgi.errors, wsgi.multithread, ...)."""
        self._allow = settings.forwarded_allow_ips
        self._secure_headers = settings.secure_scheme_headers
        self._secure_keys = tuple("HTTP_" + name.upper().replace("-", "_") for name in settings.secure_scheme_headers)
        self._script_name = process_environ.get("SCRIPT_NAME", "").rstrip("/")
        self._policies = {
            trusted: FieldPolicy(settings.header_map, settings.forwarder_headers, trusted) for trusted in (True, False)
        }
        self._constants = {
            "wsgi.version": (1, 0),
            "wsgi.run_once": False,
            "wsgi.url_scheme": "http",
            "wsgi.input_terminated": True,
            "SCRIPT_NAME": "",
            **constants,
        }

    def for_connection(self, peer: Peer) -> ConnectionEnviron:
        """The shared part for a client; a Unix peer is trusted, as it could only come from this machine."""
        if isinstance(peer.address, str):
            trusted = True
            remote = {"REMOTE_ADDR": peer.address}
        else:
            host, port = peer.address[0], peer.address[1]
            trusted = self._allow.allows(host)
            remote = {"REMOTE_ADDR": host, "REMOTE_PORT": str(port)}
        if isinstance(peer.local, str):
            server = {}
        else:
            server = {"SERVER_NAME": peer.local[0], "SERVER_PORT": str(peer.local[1])}
        return ConnectionEnviron({**self._constants, **server, **remote}, self._policies[trusted], trusted)

    def build(self, shared: ConnectionEnviron, head: RequestHead) -> Environ:
        """The request's environ, without `wsgi.input` and the callables of its response.

        Raises:
            HttpError: a field that `header_map = "refuse"` forbids, or forwarded schemes that disagree (400); a path
                outside of SCRIPT_NAME (500).
        """
        environ = shared.base.copy()
        environ_key: Callable[[str], str | None] = shared.policy.environ_key
        for name, value in head.fields:
            key = environ_key(name)
            if key is None:
                continue
            if key in environ:
                # RFC 9110 section 5.3; a Cookie repeats only behind HTTP/2, where "; " joins it (RFC 9113 8.2.3).
                environ[key] += f"{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
            else:
                environ[key] = value
        environ["REQUEST_METHOD"] = head.method
        environ["QUERY_STRING"] = head.query
        environ["RAW_URI"] = head.target
        environ["SERVER_PROTOCOL"] = PROTOCOLS[head.minor]
        path = head.path
        script_name = self._script_name
        if shared.trusted:
            for key in self._secure_keys:
                if key in environ:
                    environ["wsgi.url_scheme"] = scheme_of(head.fields, True, self._secure_headers)
                    break
            if "HTTP_SCRIPT_NAME" in environ:
                script_name = _forwarded_script_name(head, script_name)
        if script_name:
            environ["SCRIPT_NAME"] = script_name
            path = _below(script_name, path)
        environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1") if "%" in path else path
        if "SERVER_NAME" not in environ:
            _name_server(environ, head.host)
        return environ


def _forwarded_script_name(head: RequestHead, default: str) -> str:
    """The value of SCRIPT_NAME itself: proxies let a client's Script-Name pass, which becomes the same key."""
    return next((value.rstrip("/") for name, value in head.fields if name == "script_name"), default)


def _below(script_name: str, path: str) -> str:
    if not path.startswith(script_name) or path[len(script_name) : len(script_name) + 1] not in ("", "/"):
        raise HttpError(500, detail=f"the request's path is not below SCRIPT_NAME {script_name!r}")
    return path[len(script_name) :]


def _name_server(environ: Environ, host: str | None) -> None:
    """A Unix socket has no name and port of its own; Host gives viable ones, as in Gunicorn. Never empty (PEP 3333)."""
    name, port = host or "localhost", "443" if environ["wsgi.url_scheme"] == "https" else "80"
    head, colon, tail = name.rpartition(":")
    if colon and not tail.endswith("]"):
        name, port = head, tail or port
    environ["SERVER_NAME"] = name
    environ["SERVER_PORT"] = port
