"""`gunicorn.http`: parsing requests outside of the server, over ostler/http.

Rules for editing: no rule of HTTP is here; this only puts Gunicorn's names and shapes around our exchange.
"""

from typing import Any

from ostler.compat.package.http.message import Message, Request
from ostler.compat.package.http.parser import RequestParser

__all__ = ["Message", "Request", "RequestParser", "get_parser"]


def get_parser(cfg: Any, source: Any, source_addr: Any, http2_connection: bool = False) -> RequestParser:
    """Raises NotImplementedError for HTTP/2 and the uwsgi protocol."""
    if http2_connection or cfg.protocol != "http":
        raise NotImplementedError("gunicorn.http.get_parser: only HTTP/1 is built in this version of Ostler")
    return RequestParser(cfg, source, source_addr)
