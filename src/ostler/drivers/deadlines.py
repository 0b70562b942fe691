"""What becomes of a client whose time is up. How long it has is timeouts.py's; here is who is looked at, and what then.

Editing rules: called by the leader about once a second, over everybody: what is done for each must cost almost nothing.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from ostler.drivers.client import Client, State
from ostler.drivers.doors import Doors
from ostler.drivers.handover import Handover
from ostler.http.errors import HttpError
from ostler.logline import fields

_monotonic = time.monotonic

_SLICE_S: Final = 0.01
"""So long clients are given up before the next look at who came. (1,000 times 408 take 60 to 120 ms.)"""


class Deadlines:
    """Looks after all clients of one worker."""

    def __init__(  # noqa: PLR0913, PLR0917  one place makes it
        self,
        clients: Mapping[int, Client],
        doors: Doors,
        handover: Handover,
        log: logging.Logger,
        refuse: Callable[[Client, HttpError], object],
        dismiss: Callable[[Client], object],
        drop: Callable[[Client], object],
    ) -> None:
        """`refuse` answers with an error and ends the connection, `dismiss` ends it in good order, `drop` at once."""
        self._clients = clients
        self._doors = doors
        self._handover = handover
        self._log = log
        self._refuse = refuse
        self._dismiss = dismiss
        self._drop = drop

    def enforce(self, now: float) -> bool:
        """Give up who is late; when this worker drains, say farewell to the others again (handover.py).

        Returns:
            False: there is more to do, and somebody may have come meanwhile.
        """
        leaving = self._doors.draining
        until = _monotonic() + _SLICE_S
        for client in list(self._clients.values()):
            transport = client.transport
            if transport.lent:
                transport.look(now)
            if client.deadline <= now or transport.deadline <= now:
                self._expire(client, now)
                if _monotonic() >= until:
                    return False
            elif leaving:
                self._handover.try_again(client, now)
        return True

    def _expire(self, client: Client, now: float) -> None:
        transport = client.transport
        match client.state:
            case State.READING if client.deadline <= now:
                if client.exchange is not None:
                    head = client.exchange.head
                    reason = "took too long (body_timeout, body_min_rate or body_total_timeout)"
                    self._refuse(client, HttpError(408, f"the body of {head.method} {head.path} {reason}"))
                elif client.connection.head_started:
                    self._refuse(client, HttpError(408, "the head of a request took too long (header_timeout)"))
                elif not transport.has_unread():  # else the poller reports its next request, which came in time
                    self._dismiss(client)
            case State.LINGERING if client.deadline <= now:
                self._drop(client)
            case State.RUNNING:
                with transport.lock:
                    late = transport.deadline <= now
                    if late:
                        transport.break_off()
                if late:
                    self._tell(client)
                if client.live is not None and late:
                    client.live.on_gone()
                elif client.live is not None:
                    client.live.on_late()
            case State.FLUSHING if transport.deadline <= now:
                self._tell(client)
                self._drop(client)
            case _:
                pass

    def _tell(self, client: Client) -> None:
        """The access log has its response as if all of it had been taken."""
        text = "client given up, it took too little of its response (write_timeout or write_min_rate)"
        self._log.info(fields(text, peer=client.peer_text, untaken_bytes=client.transport.kept))
