"""req and resp of the request hooks: shaped as Gunicorn's Request and Response. See look_alike.py for the rules."""

from collections.abc import Mapping
from typing import ClassVar

from ostler.compat.look_alike import LookAlike
from ostler.http.connection import Proxied
from ostler.observe.hooks import RequestFacts, ResponseFacts


class RequestView(LookAlike):
    """req. Its trailers are dropped by the server, as a proxy would."""

    _called = "req"
    _absent = (
        "cfg unreader req_number must_close force_close limit_request_line limit_request_fields"
        " limit_request_field_size parse set_body_reader get_data read"
    )
    _reasons: ClassVar[Mapping[str, str]] = {
        "body": 'the application reads it, from environ["wsgi.input"]; a hook would take it away'
    }

    def __init__(self, facts: RequestFacts) -> None:
        self.method = facts.method
        self.uri = facts.target
        self.path = facts.path
        self.query = facts.query
        self.fragment = facts.target.partition("#")[2]
        self.version = (1, facts.minor)
        self.headers = [(name.upper(), value) for name, value in facts.fields]
        self.trailers: list[tuple[str, str]] = []
        self.scheme = facts.scheme
        self.peer_addr = self.remote_addr = facts.peer
        self.proxy_protocol_info = None if facts.proxied is None else _proxy_info(facts.proxied)

    def should_close(self) -> bool:
        """Whether the client asks that the connection end with this request."""
        options = [value.strip().lower() for name, value in self.headers if name == "CONNECTION"]
        words = {word.strip() for value in options for word in value.split(",")}
        return "close" in words or (self.version < (1, 1) and "keep-alive" not in words)


def _proxy_info(proxied: Proxied) -> dict[str, object]:
    """As Gunicorn has it; None for what the header did not say."""
    client, proxy = proxied.source, proxied.destination
    client_pair: tuple[object, object] = client if isinstance(client, tuple) else (client, None)
    proxy_pair: tuple[object, object] = proxy if isinstance(proxy, tuple) else (proxy, None)
    names = ("client_addr", "client_port", "proxy_addr", "proxy_port")
    return {"proxy_protocol": proxied.protocol, **dict(zip(names, client_pair + proxy_pair, strict=True))}


class ResponseView(LookAlike):
    """resp, as it was when the response ended."""

    _called = "resp"
    _absent = (
        "req sock version must_close cfg start_response write write_file sendfile process_headers default_headers"
        " send_headers"
    )
    _reasons: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("should_close", "force_close", "close"), "the response has ended, and its connection is the server's"
    )

    def __init__(self, facts: ResponseFacts) -> None:
        self.status = facts.status or None
        self.status_code = int(facts.status.partition(" ")[0]) if facts.status else None
        self.headers = list(facts.fields)
        self.headers_sent = facts.started
        self.sent = facts.sent
        self.chunked = facts.chunked
        self.upgrade = any(name.lower() == "upgrade" for name, _ in facts.fields)
        lengths = [value for name, value in facts.fields if name.lower() == "content-length"]
        self.response_length = int(lengths[0]) if lengths else None

    def is_chunked(self) -> bool:
        return self.chunked
