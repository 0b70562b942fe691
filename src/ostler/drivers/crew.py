"""Who leads the reactor, and who runs the application: the baton, the standby and the permits.

One thread at a time *leads*: it polls, reads and flushes. When a request is complete the leader runs the application
itself, on the spot, and lays the *baton* on the table while it is away. Most requests are over in less than
`TICK_S`: the leader picks the baton up again and nothing was handed to anybody. The *standby* looks at the table once
a tick; when it finds the baton there and the same call still running, it picks the baton up and leads. Whoever comes
back to an empty table has lost the lead.

A *permit* allows one application call; its number is the row of the scoreboard page that the call may write. `sync`
has one, and only the main thread uses it; `gthread` has `threads` of them and one thread more than that, so that
somebody is always free to lead.

Editing rules: picking up, laying down, taking and giving back are single `list` operations, which are atomic (also
without the GIL, where each list has its own lock). Publish before you check: the order of lines matters.
"""

import contextlib
from collections.abc import Callable
from typing import Final

from ostler import real

TICK_S: Final = 0.005
"""An application call that outlives one to two ticks loses the lead to the standby."""

_LEAST_TICK_S: Final = TICK_S / 16
"""Calls that block come in bursts: after each take-over in a row the next tick is half as long, down to this. (200
requests that block, at once, on 200 threads: the last one began after 1.14 s with ticks of one length.)"""

_QUIET_TICKS: Final = 2
"""After so many ticks without a call the standby sleeps until the leader's next call wakes it."""


class Crew:
    """The baton and the permits of one worker."""

    def __init__(self, permits: int) -> None:
        self._permits = list(range(permits))
        self._total = permits
        self._table: list[None] = [None]
        self._calls = 0
        self._tick_s = TICK_S
        self._dozing = False
        self._alarm = real.make_lock()
        self._alarm.acquire()
        self._watch = real.make_lock()
        self._handed = real.make_lock()
        self._handed.acquire()
        self._over = False
        self.wanted = False
        """The thread that may run the application has come back and wants to lead (sync only)."""

    # -- permits ---------------------------------------------------------------------------------------------

    def take_permit(self) -> int | None:
        """A permit, or None when all are in use."""
        try:
            return self._permits.pop()
        except IndexError:
            return None

    @property
    def permits(self) -> int:
        """How many there are."""
        return self._total

    def give_back(self, permit: int) -> None:
        """The application call is over."""
        self._permits.append(permit)

    @property
    def has_permit(self) -> bool:
        """Whether an application call could start now."""
        return bool(self._permits)

    @property
    def permits_out(self) -> int:
        """How many application calls are running."""
        return self._total - len(self._permits)

    # -- the baton -------------------------------------------------------------------------------------------

    def lay_down(self) -> None:
        """The leader goes into an application call."""
        self._calls += 1
        self._table.append(None)
        if self._dozing:
            self._wake_standby()

    def pick_up(self) -> bool:
        """Take the baton if it lies there. False: another thread leads."""
        try:
            self._table.pop()
        except IndexError:
            return False
        self._tick_s = TICK_S
        return True

    def hand_back(self) -> None:
        """The standby gives the lead to the thread that waits in `reclaim`."""
        self.wanted = False
        self._table.append(None)
        with contextlib.suppress(RuntimeError):  # nobody waits any more
            self._handed.release()

    def reclaim(self, wake: Callable[[], None]) -> None:
        """Get the lead back from the standby; `wake` interrupts its poll. Returns at once when it is all over."""
        while not self.pick_up() and not self._over:
            self.wanted = True
            wake()
            self._handed.acquire(timeout=0.1)
        self.wanted = False

    # -- the standby -----------------------------------------------------------------------------------------

    def stand_by(self) -> bool:
        """Sleep until this thread must lead. One thread watches the leader; others queue behind it.

        Returns:
            True: this thread holds the baton. False: it is all over.
        """
        with self._watch:
            seen, quiet = -1, 0
            while not self._over:
                calls = self._calls
                if calls == seen:
                    next_tick_s = max(_LEAST_TICK_S, self._tick_s / 2)
                    if self._table and self.pick_up():
                        self._tick_s = next_tick_s
                        return True
                    quiet += 1
                    if quiet >= _QUIET_TICKS and self._doze():
                        quiet = 0
                        continue
                else:
                    seen, quiet = calls, 0
                self._alarm.acquire(timeout=self._tick_s)
            return False

    def dismiss(self) -> None:
        """It is all over: let every thread leave `stand_by`."""
        self._over = True
        self._wake_standby()

    def _doze(self) -> bool:
        self._dozing = True
        if self._table or self._over:  # the leader may have laid the baton down before it could see us doze
            self._dozing = False
            return False
        self._alarm.acquire()
        return True

    def _wake_standby(self) -> None:
        self._dozing = False
        with contextlib.suppress(RuntimeError):  # it is awake
            self._alarm.release()
