"""The scope of ASGI 3, built from a request's head: that of `http` and of `websocket`.

What a connection's scopes share is made once and kept beside the connection's environ. Who the client is, by which
scheme it came and which fields may be believed is environ.py's to say: an ordinary request needs none of it, one whose
fields tell something (`EnvironTemplate.told`) or that came over uwsgi is built by way of what environ.py answers.

`path` holds `root_path`, as the specification wants it. With the setting `root_path` both kinds of proxies work: what
one has taken off in front of the application is put back, and what one has left there stays.

Rules for editing: `build` runs for every request: measure with `benchmarks/`. A scope belongs to its application, which
may change it; what it shares with others (`asgi`, `extensions`) is not copied for each request.

Anchors: https://asgi.readthedocs.io/en/latest/specs/www.html, extensions.html and specs/tls.html; RFC 4514 (names).
"""

import functools
import ssl
from collections.abc import Mapping
from time import time
from typing import Any, Final
from urllib.parse import quote, unquote_to_bytes

from ostler.app.asgi_live import Scope
from ostler.app.deadline import UNLIMITED
from ostler.app.environ import NOTHING_TOLD, ConnectionEnviron, EnvironTemplate, Told, below
from ostler.app.tls_environ import distinguished_name, pem
from ostler.http.connection import Peer, Secured
from ostler.http.grammar import Memo
from ostler.http.head import RequestHead
from ostler.http.request_start import FIELD as REQUEST_START
from ostler.http.request_start import field_of, queue_time

ASGI: Final[dict[str, str]] = {"version": "3.0", "spec_version": "2.5"}
"""2.4: send() raises OSError once the client has left. 2.5: websocket.disconnect has a reason."""

EXTENSIONS: Final = (
    "http.response.early_hint",
    "http.response.informational",
    "http.response.pathsend",
    "http.response.trailers",
)
"""Of responses; `http.response.informational` is Gunicorn's own."""

_VERSIONS: Final = ("1.0", "1.1")
_TLS_VERSIONS: Final = {"SSLv3": 0x0300, "TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


class _Unusual(Exception):
    """A field that is dropped, or tells something."""


class _Shared:
    """What the scopes of one connection share."""

    __slots__ = ("client", "extensions", "names", "queue_time", "scheme", "server", "tls")

    def __init__(self, shared: ConnectionEnviron, peer: Peer, names: Mapping[str, bytes]) -> None:
        base = shared.base
        self.names = names
        self.scheme: str = base["wsgi.url_scheme"]
        self.client = _address(base["REMOTE_ADDR"], base.get("REMOTE_PORT"))
        self.server: tuple[str, int | None] = (peer.local, None) if isinstance(peer.local, str) else peer.local
        self.tls: dict[str, Any] = {} if peer.secured is None else {"tls": tls_extension(peer.secured)}
        self.queue_time: float | None = None
        """Of the request that came last."""
        self.extensions: dict[str, Any] = {**self.tls, **{name: {} for name in EXTENSIONS}}


class ScopeTemplate:
    """Makes the scopes of one worker."""

    def __init__(self, template: EnvironTemplate, root_path: str = "") -> None:
        """`root_path`: the setting, without a slash at its end."""
        self._template = template
        self._root_path = root_path
        self._names: dict[tuple[int, bool], Memo[str, bytes]] = {}

    def build(
        self, shared: ConnectionEnviron, peer: Peer, head: RequestHead, state: dict[str, Any], websocket: bool = False
    ) -> Scope:
        """The scope of one request; `state` is the application's own copy.

        Raises:
            HttpError: as `EnvironTemplate.build`.
        """
        common: _Shared | None = shared.scope
        if common is None:
            common = shared.scope = _Shared(shared, peer, self._names_for(shared))
        told = NOTHING_TOLD
        waited: dict[str, Any] = {}
        names = common.names
        try:
            fields = [(names[name], value.encode("latin-1")) for name, value in head.fields]
        except _Unusual:
            key = shared.environ_key
            fields = [
                (name.encode("latin-1"), value.encode("latin-1"))
                for name, value in head.fields
                if key(name) is not None
            ]
            if shared.trusted and head.params is None:
                told = self._template.told(shared, head)
            waited = _queue_time(common, head) if shared.trusted else {}
        path = head.path
        raw_path = path.encode("latin-1")
        if "%" in path or not path.isascii():
            path = unquote_to_bytes(raw_path).decode("utf-8", "replace")
        root_path = ""
        if told.script_name or self._root_path or self._template.script_name:
            root_path, path, raw_path = self._mounted(told, head, path, raw_path)
        scheme = told.scheme or common.scheme
        scope: Scope = {
            "type": "http",
            "asgi": ASGI,
            "http_version": _VERSIONS[head.minor],
            "method": head.method,
            "scheme": scheme,
            "path": path,
            "raw_path": raw_path,
            "query_string": head.query.encode("latin-1"),
            "root_path": root_path,
            "headers": fields,
            "client": common.client if told.client is None else (told.client.host, told.client.port or 0),
            "server": common.server,
            "state": state,
            "extensions": common.extensions,
            "ostler.deadline": UNLIMITED,
        }
        if head.params is not None:
            self._take_params(scope, shared, head)
        if websocket:
            scope["type"] = "websocket"
            scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
            scope["extensions"] = common.tls
            scope["subprotocols"] = []
            del scope["method"]
        if waited:
            scope.update(waited)
        return scope

    def _names_for(self, shared: ConnectionEnviron) -> Memo[str, bytes]:
        """A field's name in lower case -> its bytes; raises `_Unusual` for one that is not simply passed on."""
        key = id(shared.environ_key), shared.trusted
        names = self._names.get(key)
        if names is None:
            environ_key = shared.environ_key
            telling = (*self._template.telling, REQUEST_START) if shared.trusted else ()

            def name_of(name: str) -> bytes:
                if name in telling or environ_key(name) is None:
                    raise _Unusual
                return name.encode("latin-1")

            names = self._names[key] = Memo(name_of)
        return names

    def _mounted(self, told: Told, head: RequestHead, path: str, raw_path: bytes) -> tuple[str, str, bytes]:
        """root_path, path, raw_path."""
        script_name = told.script_name or (not self._root_path and self._template.script_name)
        if script_name:
            below(script_name, head.path)
            return script_name, path, raw_path
        root_path = self._root_path
        if path.startswith("/") and not (path + "/").startswith(root_path + "/"):
            # A proxy has taken it off.
            return root_path, root_path + path, quote(root_path).encode("ascii") + raw_path
        return root_path, path, raw_path

    def _take_params(self, scope: Scope, shared: ConnectionEnviron, head: RequestHead) -> None:
        """What a uwsgi request says beside its fields, as environ.py understands it."""
        environ = self._template.build(shared, head)
        root_path = environ["SCRIPT_NAME"]
        path = environ["PATH_INFO"].encode("latin-1", "replace").decode("utf-8", "replace")
        if self._root_path and not root_path:
            root_path = self._root_path
            if (path + "/").startswith(root_path + "/"):
                path = path[len(root_path) :]
        scope["root_path"] = root_path
        scope["path"] = root_path + path
        scope["raw_path"] = quote(root_path + path).encode("ascii")
        scope["scheme"] = environ["wsgi.url_scheme"]
        scope["client"] = _address(environ["REMOTE_ADDR"], environ.get("REMOTE_PORT"))
        scope["server"] = _address(environ["SERVER_NAME"], environ["SERVER_PORT"])
        scope["method"] = environ["REQUEST_METHOD"]
        scope["query_string"] = environ["QUERY_STRING"].encode("latin-1", "replace")


def _queue_time(common: _Shared, head: RequestHead) -> dict[str, Any]:
    """The extension ostler.queue_time, where a trusted proxy says when the request came to it."""
    value = field_of(head.fields)
    common.queue_time = None if value is None else queue_time(value, time())
    return {} if common.queue_time is None else {"ostler.queue_time": common.queue_time}


def _address(host: str, port: str | None) -> tuple[str, int] | None:
    """A client or server; None for one without a name (a Unix socket's other end). Port 0: it is not known."""
    if not host or host.startswith("/"):
        return None
    return host, int(port) if port is not None and port.isascii() and port.isdecimal() else 0


def tls_extension(secured: Secured) -> dict[str, Any]:
    """`extensions["tls"]`. The server's certificate is not said: applications are not to depend on which it was."""
    certificate = secured.certificate
    return {
        "server_cert": None,
        "client_cert_chain": [] if secured.der is None else [pem(secured.der)],
        "client_cert_name": distinguished_name(certificate.get("subject", ())) if certificate else None,
        "client_cert_error": None,
        "tls_version": _TLS_VERSIONS.get(secured.version),
        "cipher_suite": _cipher_numbers().get(secured.cipher),
    }


@functools.cache
def _cipher_numbers() -> Mapping[str, int]:
    """OpenSSL's name of a cipher suite -> its number in IANA's registry."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    return {cipher["name"]: cipher["id"] & 0xFFFF for cipher in context.get_ciphers()}
