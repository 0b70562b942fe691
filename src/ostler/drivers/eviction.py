"""Who goes when a worker has no place left: somebody who waits outside is worth more than who takes his time inside.

In this order: a connection that has had its last answer and only lingers; one that is kept alive and asks nothing, the
longest idle first; one of which no whole head has arrived, the oldest first; one that sends its body, or takes its
response, more slowly than `SLOW_RATE`, the slowest first. A request that waits for a thread, or has one, is never cut.
So no number of slow connections fills a worker: the next honest client gets a place of theirs (failures N1 to N3).

Editing rules: called at the limit for every connection that comes; a search without a result is not repeated at once.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Final

from ostler.drivers.admission import Admission
from ostler.drivers.client import Client, State
from ostler.logline import fields

LEAST_AGE_S: Final = 0.25
MOST_AGE_S: Final = 2.0
"""So long everybody may take for a head, or the handshake: honest clients in a burst are not each other's slow ones.
The fewer places there are, the shorter: whoever waits outside waits for all before him, and they may be attackers who
come again and again."""

_PLACES: Final = 500
"""Places that become free in a second, then, or more."""

SLOW_RATE: Final = 16 * 1024
"""Bytes a second, for whoever has been sending or taking for `_TRANSFER_FACTOR` times as long."""

_TRANSFER_FACTOR: Final = 2.5

_SHARE: Final = 0.01
"""The part of the slow that goes at once: each search looks at everybody."""

_AGAIN_S: Final = 0.25
_COMPLAIN_S: Final = 60.0


class Eviction:
    """Makes places in one worker."""

    def __init__(self, log: logging.Logger, drop: Callable[[Client], None]) -> None:
        self._log = log
        self._drop = drop
        self._quiet_until = 0.0
        self._complained = float("-inf")
        self._closed = 0

    def make_room(self, clients: Iterable[Client], admission: Admission | None, now: float) -> bool:
        """Close somebody. False: nobody can go now."""
        if now < self._quiet_until:
            return False
        everybody = list(clients)
        count = max(1, int(len(everybody) * _SHARE))
        age_s = min(max(LEAST_AGE_S, len(everybody) / _PLACES), MOST_AGE_S)
        if self._close(_lingering(everybody, now - age_s), count):
            return True
        idle = _longest_idle(everybody)
        if idle is not None:
            self._drop(idle)
            return True
        closed = self._turn_away(admission, count, now - age_s)
        closed = closed or self._close(_without_head(everybody, now - age_s), count)
        closed = closed or self._close(_slow(everybody, now, age_s * _TRANSFER_FACTOR), count)
        if not closed:
            self._quiet_until = now + _AGAIN_S
            return False
        self._complain(closed, now)
        return True

    def _turn_away(self, admission: Admission | None, count: int, before: float) -> int:
        closed = 0
        while admission is not None and closed < count:
            newcomer = admission.oldest()
            if newcomer is None or newcomer.arrived > before:
                break
            admission.turn_away(newcomer)
            closed += 1
        return closed

    def _close(self, candidates: list[Client], count: int) -> int:
        for client in candidates[:count]:
            self._drop(client)
        return min(len(candidates), count)

    def _complain(self, closed: int, now: float) -> None:
        self._closed += closed
        if now - self._complained < _COMPLAIN_S:
            return
        self._complained = now
        self._log.warning(
            fields(
                "no place is left for clients, the slowest are closed",
                closed=self._closed,
                cure="raise worker_connections (and ulimit -n), or shorten header_timeout and body_timeout",
            )
        )
        self._closed = 0


def _lingering(clients: Iterable[Client], before: float) -> list[Client]:
    """Oldest first."""
    done = [client for client in clients if client.state is State.LINGERING and client.since <= before]
    return sorted(done, key=lambda client: client.since)


def _longest_idle(clients: Iterable[Client]) -> Client | None:
    """None whose next request has arrived already, unheard."""
    idle = [
        client
        for client in clients
        if client.state is State.READING and client.exchange is None and client.served and not client.timed
    ]
    by_age = sorted(idle, key=lambda client: client.deadline)
    return next((client for client in by_age if not client.transport.has_unread()), None)


def _without_head(clients: Iterable[Client], before: float) -> list[Client]:
    """Oldest first."""
    waiting = [
        client
        for client in clients
        if client.state is State.READING and client.exchange is None and client.since <= before
    ]
    return sorted(waiting, key=lambda client: client.since)


def _slow(clients: Iterable[Client], now: float, least_age_s: float) -> list[Client]:
    """Slowest first."""
    rated = []
    for client in clients:
        if client.state is State.READING and client.exchange is not None:
            began, moved = client.began, client.came
        elif client.state is State.FLUSHING and client.transport.lent:
            began, moved = client.transport.pace
        else:
            continue
        age_s = now - began
        if age_s >= least_age_s and moved / age_s < SLOW_RATE:
            rated.append((moved / age_s, client))
    return [client for _, client in sorted(rated, key=lambda pair: pair[0])]
