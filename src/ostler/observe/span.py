"""One request's clock, scoreboard row, hooks, access log and counters: the same for all worker kinds.

`SpanMaker.begin` when the application is about to be called, `Span.end` when its response was handed over. A worker
without access log, request hooks and request limit pays for two clock readings and the scoreboard, nothing more.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ostler.http.connection import Peer
from ostler.http.head import PROTOCOLS, RequestHead
from ostler.lifecycle import Observer, RequestFinished
from ostler.observe.hooks import RequestFacts, ResponseFacts, WorkerHooks
from ostler.observe.scoreboard import Page

_monotonic = time.monotonic

_CODES: Final[dict[str, int]] = {"": 0}
"""Of the status lines that were seen: applications have a few, and this is faster than int()."""
_MOST_CODES: Final = 256


class SpanMaker:
    """Makes the spans of one worker; safe to use from all of its threads."""

    def __init__(
        self,
        page: Page,
        hooks: WorkerHooks,
        observers: Sequence[Observer],
        request_limit: int,
        on_limit: Callable[[], None],
    ) -> None:
        """`on_limit` is called once, when `request_limit` (0: none) requests are done."""
        self.page = page
        self.hooks = hooks
        self.observers = tuple(observers)
        self._limit = request_limit
        self._on_limit = on_limit

    @property
    def wants_environ(self) -> bool:
        """Whether anybody looks at the environ that `Span.end` is given: a kind that has none makes one for it."""
        return bool(self.observers) or self.hooks.wants_requests

    def begin(self, row: int, head: RequestHead) -> "Span":
        """Start the clock; `row` is the scoreboard row of the permit."""
        started = _monotonic()
        self.page.begin_request(row, started, f"{head.method} {head.target}")
        return Span(self, row, head, started)

    def count(self) -> None:
        """One more request is done."""
        if self.page.count_request() == self._limit:
            self._on_limit()


class Span:
    """One request, from its call to its end."""

    __slots__ = ("_facts", "_head", "_maker", "_row", "_started")

    def __init__(self, maker: SpanMaker, row: int, head: RequestHead, started: float) -> None:
        self._maker = maker
        self._row = row
        self._head = head
        self._started = started
        self._facts: RequestFacts | None = None

    def pre_request(self, peer: Peer, scheme: str) -> None:
        """Call the hook.

        Raises:
            whatever the hook raises: the request is to be answered with a 500.
        """
        maker = self._maker
        if maker.hooks.wants_requests:
            head = self._head
            asked = head.method, head.target, head.path, head.query, head.fields, head.minor
            self._facts = RequestFacts(*asked, peer.address, scheme, peer.proxied)
            maker.hooks.pre_request(self._facts)

    def end(  # noqa: PLR0913, PLR0917  an object for them would be made for each request, for nobody in most workers
        self,
        environ: Mapping[str, Any],
        status: str,
        fields: Sequence[tuple[str, str]],
        started: bool,
        chunked: bool,
        sent: int,
    ) -> None:
        """The response was handed over (or given up): tell hooks, observers and the scoreboard.

        `started`: the response has a head. `chunked`: as it was framed. `sent`: bytes of the body.
        """
        maker, head = self._maker, self._head
        took_s = _monotonic() - self._started
        if maker.observers:
            event = RequestFinished(
                environ=environ,
                request_fields=head.fields,
                status=status,
                response_fields=fields,
                sent=sent if started else None,
                duration_s=took_s,
                method=head.method,
                target=head.target,
                # Behind a proxy that speaks uwsgi: what the proxy's client said.
                protocol=(head.params or {}).get("SERVER_PROTOCOL") or PROTOCOLS[head.minor],
            )
            for observer in maker.observers:
                observer.request_finished(event)
        if self._facts is not None:
            maker.hooks.post_request(self._facts, environ, ResponseFacts(status, fields, started, chunked, sent))
        code = _CODES.get(status)
        maker.page.end_request(self._row, took_s, _code_of(status) if code is None else code)
        maker.count()


def _code_of(status: str) -> int:
    """Of "500 Oh"; 0 of what is none."""
    code = int(status[:3]) if status[:3].isdecimal() else 0
    if len(_CODES) < _MOST_CODES:
        _CODES[status] = code
    return code
