"""The environ of PEP 3333, built from a request's head.

One `EnvironTemplate` a worker holds what never changes; `for_connection` adds the peer and decides trust once a
connection; `build` copies that and adds the request. Which fields may become which keys is `http/forwarded.py`'s rule.

Who the client is, nearest knowledge last: the transport's peer; the source of a PROXY header; the client that trusted
proxies name in Forwarded or X-Forwarded-For (`remote_addr_from`), or a uwsgi request in REMOTE_ADDR. Where any of these
is configured, the transport's peer is also in `ostler.peer_addr` and `ostler.peer_port`.

Anchors: PEP 3333, RFC 3875 section 4.1, and Gunicorn's environ where it goes beyond them (RAW_URI, REMOTE_PORT,
`wsgi.input_terminated`, SCRIPT_NAME from the process environment or a trusted proxy, PROXY_ADDR).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import time
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from ostler.app.tls_environ import tls_environ
from ostler.config.origins import DEFAULT_ORIGIN
from ostler.config.settings import Settings
from ostler.http.client_address import Hop, Source, Trust, find_client, scheme_of_hop
from ostler.http.connection import Address, Peer, Proxied
from ostler.http.errors import HttpError
from ostler.http.forwarded import FieldPolicy, scheme_of
from ostler.http.head import PROTOCOLS, RequestHead
from ostler.http.request_start import queue_time

Environ = dict[str, Any]

_REQUEST_START: Final = "HTTP_X_REQUEST_START"

_NEVER_EMPTY: Final = frozenset(("REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL"))
"""An empty parameter of these names leaves our own value where it is."""

_NOT_A_PROXYS: Final = frozenset(("RAW_URI", "SERVER_SOFTWARE"))


@dataclass(slots=True, eq=False)
class Told:
    """What trusted proxies say of one request's client; None where they say nothing. (Frozen it costs 0.3 µs more.)"""

    client: Hop | None = None
    scheme: str | None = None
    script_name: str | None = None
    """Without a slash at its end."""


NOTHING_TOLD: Final = Told()


@dataclass(slots=True)
class ConnectionEnviron:
    """What every request of one connection shares. Made once and not changed, but for `scope`."""

    base: Environ
    environ_key: Callable[[str], str | None]
    """See `FieldPolicy.environ_key`."""
    trusted: bool
    clients_from: Source | None
    """The field in which the peer is believed to name its clients."""
    scope: Any = None
    """What the scopes of its requests share (scope.py), made with the first of them."""


class EnvironTemplate:
    """Makes environs for one worker."""

    def __init__(self, settings: Settings, constants: Mapping[str, Any], process_environ: Mapping[str, str]) -> None:
        """`constants` are the worker's own keys (wsgi.errors, wsgi.multithread, ...)."""
        self._allow = settings.forwarded_allow_ips
        self._allow_was_chosen = settings.origin("forwarded_allow_ips") != DEFAULT_ORIGIN
        self._secure_headers = settings.secure_scheme_headers
        self._secure_names = frozenset(name.lower() for name in settings.secure_scheme_headers)
        self._secure_keys = tuple("HTTP_" + name.upper().replace("-", "_") for name in settings.secure_scheme_headers)
        self.script_name: Final = process_environ.get("SCRIPT_NAME", "").rstrip("/")
        """That of requests of which no proxy says another."""
        self._policies = {
            trusted: FieldPolicy(settings.header_map, settings.forwarder_headers, trusted) for trusted in (True, False)
        }
        self._source: Source | None = None if settings.remote_addr_from == "peer" else settings.remote_addr_from
        hops = settings.trusted_hops
        self._trust: Trust = hops if isinstance(hops, int) else hops.allows
        self.telling: Final = frozenset(("script_name", *self._secure_names, *filter(None, [self._source])))
        """Fields, in lower case, without which a trusted proxy tells nothing: see `told`."""
        self._keeps_peer = (settings.proxy_protocol, settings.protocol, self._source) != ("off", "http", None)
        self._constants = {
            "wsgi.version": (1, 0),
            "wsgi.run_once": False,
            "wsgi.url_scheme": "http",
            "wsgi.input_terminated": True,
            "SCRIPT_NAME": "",
            **constants,
        }

    def for_connection(self, peer: Peer) -> ConnectionEnviron:
        """The shared part for a client; a Unix peer is trusted, as it could only come from this machine.

        A peer that sends the PROXY header of another connection may pass on its bytes as they came (HAProxy in TCP
        mode): the fields are its client's then. It is believed only where somebody has chosen whom to believe.
        """
        host = None if isinstance(peer.address, str) else peer.address[0]
        trusted = host is None or self._allow.allows(host)
        if peer.proxied is not None and peer.proxied.protocol != "LOCAL":
            trusted = trusted and self._allow_was_chosen
        base = {**self._constants, **_end("REMOTE", peer.address)}
        if not isinstance(peer.local, str):
            base |= {"SERVER_NAME": peer.local[0], "SERVER_PORT": str(peer.local[1])}
        if self._keeps_peer:
            base["ostler.peer_addr"] = base["REMOTE_ADDR"]
            if "REMOTE_PORT" in base:
                base["ostler.peer_port"] = base["REMOTE_PORT"]
        if peer.proxied is not None:
            _pass_on(base, peer.proxied)
        if peer.secured is not None:
            base |= tls_environ(peer.secured)
            base["wsgi.url_scheme"] = "https"
        clients_from = self._source if trusted and self._is_proxy(peer.proxied) else None
        return ConnectionEnviron(base, self._policies[trusted].environ_key, trusted, clients_from)

    def _is_proxy(self, proxied: Proxied | None) -> bool:
        """Whether the source of a PROXY header, which is then the nearest hop, is one of the trusted ones."""
        if proxied is None or proxied.source is None or isinstance(self._trust, int):
            return True
        return not isinstance(proxied.source, str) and self._trust(proxied.source[0])

    def build(self, shared: ConnectionEnviron, head: RequestHead) -> Environ:
        """The request's environ, without `wsgi.input` and the callables of its response.

        Raises:
            HttpError: a field that `header_map = "refuse"` forbids, or proxies that disagree about the scheme (400); a
                path outside of SCRIPT_NAME (500).
        """
        environ = shared.base.copy()
        environ_key = shared.environ_key
        for name, value in head.fields:
            key = environ_key(name)
            if key in environ:
                # RFC 9110 section 5.3; a Cookie repeats only behind HTTP/2, where "; " joins it (RFC 9113 8.2.3).
                environ[key] += f"{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
            elif key is not None:
                environ[key] = value
        if _REQUEST_START in environ and shared.trusted:
            _tell_queue_time(environ)
        environ["REQUEST_METHOD"] = head.method
        environ["QUERY_STRING"] = head.query
        environ["RAW_URI"] = head.target
        environ["SERVER_PROTOCOL"] = PROTOCOLS[head.minor]
        if head.params is not None:
            self._take_params(environ, head.path, head.params)
        else:
            script_name = self.script_name
            if shared.trusted and self._may_be_told(shared, environ):
                told = self.told(shared, head)
                if told.scheme is not None:
                    _set_scheme(environ, told.scheme)
                if told.client is not None:
                    _set_client(environ, told.client)
                if told.script_name is not None:
                    script_name = told.script_name
            path = head.path
            if script_name:
                environ["SCRIPT_NAME"] = script_name
                path = below(script_name, path)
            environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1") if "%" in path else path
        if "SERVER_NAME" not in environ:
            _name_server(environ, head.host)
        return environ

    def _may_be_told(self, shared: ConnectionEnviron, environ: Environ) -> bool:
        if shared.clients_from is not None or "HTTP_SCRIPT_NAME" in environ:
            return True
        for key in self._secure_keys:  # noqa: SIM110  any() would make a generator for each request
            if key in environ:
                return True
        return False

    def told(self, shared: ConnectionEnviron, head: RequestHead) -> Told:
        """What the peer, a trusted proxy, says of its client in the request's fields.

        Raises:
            HttpError: 400, proxies disagree about the scheme or the path, or name a scheme that is none.
        """
        telling = self.telling
        present = [field for field in head.fields if field[0] in telling]
        scheme: str | None = None
        for name, _ in present:
            if name in self._secure_names:
                scheme = scheme_of(present, True, self._secure_headers)
                break
        client: Hop | None = None
        if shared.clients_from is not None:
            client = find_client(present, shared.clients_from, self._trust)
        if client is not None:
            asked_by = scheme_of_hop(client)
            if asked_by is not None:
                if scheme not in (None, asked_by):
                    raise HttpError(400, "Forwarded and the fields of secure_scheme_headers disagree about the scheme")
                scheme = asked_by
        return Told(client, scheme, _forwarded_script_name(shared, present))

    def _take_params(self, environ: Environ, path: str, params: Mapping[str, str]) -> None:
        """Take what a uwsgi request says beside its fields. A key with a period is a server's or framework's own."""
        if params.get("REMOTE_ADDR"):
            environ.pop("REMOTE_PORT", None)
        for key, value in params.items():
            if "." not in key and key not in _NOT_A_PROXYS and (value or key not in _NEVER_EMPTY):
                environ[key] = value
        if params.get("HTTPS"):
            _set_scheme(environ, "https" if params["HTTPS"].lower() in ("on", "1", "true") else "http")
        elif params.get("REQUEST_SCHEME"):
            _set_scheme(environ, params["REQUEST_SCHEME"])
        # With PATH_INFO, SCRIPT_NAME is what stands before it (RFC 3875 section 4.1.13); else both are in the path.
        script_name = params.get("SCRIPT_NAME", "").rstrip("/")
        if script_name and "PATH_INFO" in params:
            environ["SCRIPT_NAME"] = script_name
        else:
            environ["SCRIPT_NAME"] = script_name = script_name or self.script_name
            decoded = params.get("PATH_INFO")
            if decoded is None:
                decoded = unquote_to_bytes(path).decode("latin-1")
            environ["PATH_INFO"] = below(script_name, decoded)


def _tell_queue_time(environ: Environ) -> None:
    """A trusted proxy says when the request came to it."""
    waited_s = queue_time(environ[_REQUEST_START], time())
    if waited_s is not None:
        environ["ostler.queue_time"] = waited_s


def _end(prefix: str, address: Address) -> dict[str, str]:
    """One end of a connection, by its keys; a Unix socket has no port."""
    if isinstance(address, str):
        return {f"{prefix}_ADDR": address}
    return {f"{prefix}_ADDR": address[0], f"{prefix}_PORT": str(address[1])}


def _pass_on(environ: Environ, proxied: Proxied) -> None:
    """What a PROXY header says; where it names no ends, those of the transport stay."""
    environ["PROXY_PROTOCOL"] = proxied.protocol
    if proxied.source is not None:
        environ.pop("REMOTE_PORT", None)
        environ |= _end("REMOTE", proxied.source)
    if proxied.destination is not None:
        environ |= _end("PROXY", proxied.destination)


def _set_scheme(environ: Environ, scheme: str) -> None:
    """The client's scheme, which need not be this connection's; HTTPS must not contradict it."""
    environ["wsgi.url_scheme"] = scheme
    if scheme == "http" and "HTTPS" in environ:
        del environ["HTTPS"]


def _set_client(environ: Environ, client: Hop) -> None:
    """Put the client that trusted proxies name in the peer's place."""
    environ["REMOTE_ADDR"] = client.host
    if client.port is None:
        environ.pop("REMOTE_PORT", None)
    else:
        environ["REMOTE_PORT"] = str(client.port)


def _forwarded_script_name(shared: ConnectionEnviron, fields: Iterable[tuple[str, str]]) -> str | None:
    """The value of SCRIPT_NAME itself: proxies let a client's Script-Name pass, which becomes the same key."""
    found: str | None = None
    for name, value in fields:
        if name == "script_name" and shared.environ_key(name) is not None:
            said = value.rstrip("/")
            if found not in (None, said):
                raise HttpError(400, "more than one SCRIPT_NAME, and only one can be the proxy's")
            found = said
    return found


def below(script_name: str, path: str) -> str:
    """What of `path` is below `script_name`, as PATH_INFO says it.

    Raises:
        HttpError: 500, `path` is elsewhere: a proxy and this server disagree about their paths.
    """
    if not path.startswith(script_name) or path[len(script_name) : len(script_name) + 1] not in ("", "/"):
        raise HttpError(500, detail=f"the request's path is not below SCRIPT_NAME {script_name!r}")
    return path[len(script_name) :]


def _name_server(environ: Environ, host: str | None) -> None:
    """A Unix socket has no name and port of its own; Host gives viable ones, as in Gunicorn. Never empty (PEP 3333).

    A port that a uwsgi request has told stays.
    """
    name, port = host or "localhost", "443" if environ["wsgi.url_scheme"] == "https" else "80"
    head, colon, tail = name.rpartition(":")
    if colon and not tail.endswith("]"):
        name, port = head, tail or port
    environ["SERVER_NAME"] = name
    environ.setdefault("SERVER_PORT", port)
