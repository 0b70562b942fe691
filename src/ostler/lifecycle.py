"""Typed things that happened while serving, and `Observer`, the one way to hear of them.

An event is facts and nothing else: it was built by who knew them, observers (access log, counters) only read
it. Rules for editing: an event exists because an observer uses it; values that only one sink formats (dates,
quoted text) are made in that sink. Events are slotted but not frozen: one is built for each request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(slots=True, eq=False)
class RequestFinished:
    """The last byte of a response was handed to the kernel, or was given up.

    environ: as the application left it, {} when the request never reached one (a refused head).
    request_fields: names lower-cased, in order of arrival. response_fields: names as the application wrote
    them. status: code and reason, "200 OK". sent: body bytes queued for the client, None when no response was
    started. duration_s: from the complete head to the end of the response. target: as received.
    protocol: "HTTP/1.1".
    """

    environ: Mapping[str, Any]
    request_fields: Sequence[tuple[str, str]]
    status: str
    response_fields: Sequence[tuple[str, str]]
    sent: int | None
    duration_s: float
    method: str
    target: str
    protocol: str


class Observer(Protocol):
    """Hears of events on the thread that served the request; returns within microseconds, never raises."""

    def request_finished(self, event: RequestFinished) -> None: ...
