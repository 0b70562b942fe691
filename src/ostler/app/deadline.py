"""The deadline of one application call (`request_timeout`): the object in environ["ostler.deadline"], and its state.

An application may ask how much time is left, and extend it. The rest is between the thread (greenlet, task) that runs
the call and whoever watches over it (drivers/overdue.py), which is another thread where the kind has threads. Who of
both speaks to the client is decided under one lock, once:

    SILENT --speak--> SPEAKING --hand_over--> OVER        by the call: its response begins, and is handed over
       |                 |
     seize             seize                              by the watchdog, when time is up
       v                 v
    SEIZED            BROKEN                              it answers with 504; it breaks the connection off

INTERIM is as SPEAKING for the moment in which 100 or 103 is sent. In SEIZED and BROKEN the call finds a client that is
gone, whatever it does. `left` is another matter: the call is over, and nothing may be raised into its thread any more.

Rules for editing: what a kind does in `_answer`, `_stack` and `_interrupt` may be called from a thread that is not the
call's. Nothing here waits.
"""

import math
from collections.abc import Mapping
from math import inf
from time import monotonic as _monotonic
from typing import Final, Protocol
from urllib.parse import unquote, unquote_to_bytes

from ostler import real
from ostler.app.wsgi_input import ClientGone
from ostler.http.errors import HttpError
from ostler.http.head import RequestHead

TIMEOUT: Final = HttpError(504)
STATUS: Final = f"{TIMEOUT.status} {TIMEOUT.reason}"

_SILENT: Final = 0
_SPEAKING: Final = 1
_INTERIM: Final = 2
_SEIZED: Final = 3
_BROKEN: Final = 4
_OVER: Final = 5


class Budget(Protocol):
    """What an application sees."""

    def remaining(self) -> float:
        """Seconds that are left, 0 when none are; infinite without a deadline."""

    def extend(self, seconds: float) -> None:
        """From now on the call may take so long; nothing where there is no deadline, or it is over already."""


class _Unlimited:
    """Without a deadline."""

    def remaining(self) -> float:
        """See `Budget`."""
        return inf

    def extend(self, seconds: float) -> None:
        """See `Budget`."""


UNLIMITED: Final = _Unlimited()


class Limits:
    """How long calls may take, by their path. Seconds; infinite is no limit."""

    def __init__(self, default_s: float, hard_s: float, paths: Mapping[str, float]) -> None:
        """As in the settings, where 0 is no limit, and for hard_s twice as long."""
        self._default_s = default_s or inf
        plain = {unquote_to_bytes(path).decode("latin-1"): seconds or inf for path, seconds in paths.items()}
        longest_first = sorted(plain.items(), key=lambda each: -len(each[0]))
        self._paths = [(path, path.rstrip("/") + "/", seconds) for path, seconds in longest_first]
        self._margin_s = max(0.0, hard_s - default_s) if hard_s and default_s else 0.0
        self.shortest_s = min([self._default_s, *(seconds for _, _, seconds in self._paths)])
        """Infinite: there are no limits at all."""

    def of(self, path: str) -> float:
        """`path`: as the client asks for it. Of "/a" it is /a itself and what is below it; of "/a/" only the latter."""
        if self._paths:
            asked = unquote(path, "latin-1") if "%" in path else path
            for exact, below, seconds in self._paths:
                if asked == exact or asked.startswith(below):
                    return seconds
        return self._default_s

    def margin_s(self, soft_s: float) -> float:
        """Between the soft and the hard limit."""
        return self._margin_s or soft_s


class Watch(Protocol):
    """Who watches over the calls of one worker (drivers/overdue.py)."""

    lock: real.Lock
    limits: Limits

    def begin(self, deadline: "Deadline") -> None:
        """Its call begins. Not under the lock."""

    def moved(self, deadline: "Deadline") -> None:
        """It was extended. Under the lock."""

    def forget(self, deadline: "Deadline") -> None:
        """Its call has ended, or its response. Under the lock; again is harmless."""


class Deadline:
    """See the module's text. `remaining` and `extend` are the application's."""

    __slots__ = (
        "_at",
        "_call",
        "_margin_s",
        "_watch",
        "began",
        "due",
        "hard_at",
        "head",
        "interrupted",
        "left",
        "limit_s",
        "seen",
        "soft_at",
        "stranded",
    )

    holds_client = True
    """While the call goes on, its client stays in the loop's table, whatever it was told."""

    def __init__(self, watch: Watch, head: RequestHead, limit_s: float, margin_s: float, now: float) -> None:
        self._watch = watch
        self._call = _SILENT
        self.head = head
        self.began = now
        self.limit_s = limit_s
        self._margin_s = margin_s
        self._at = self.soft_at = self.due = now + limit_s
        """`due`: when the watchdog has something to do next. `soft_at` is infinite once it has done that."""
        self.hard_at = self._at + margin_s
        self.interrupted = False
        """An exception was raised into the call."""
        self.left = False
        self.stranded = False
        """It is beyond its hard deadline: nobody waits for it."""
        self.seen = False
        """The watchdog has seized it."""

    # -- for the application ---------------------------------------------------------------------------------

    def remaining(self) -> float:
        """See `Budget`."""
        return max(0.0, self._at - _monotonic())

    def extend(self, seconds: float) -> None:
        """See `Budget`.

        Raises:
            ValueError: a negative number, or none.
        """
        if math.isnan(seconds) or seconds < 0:
            raise ValueError(f"ostler.deadline: expected seconds, 0 or more, got {seconds!r}")
        now = _monotonic()
        with self._watch.lock:
            if self._at != inf and self._call in (_SILENT, _SPEAKING, _INTERIM):
                self.limit_s = now + seconds - self.began
                self._at = self.soft_at = self.due = now + seconds
                self.hard_at = self._at + self._margin_s
                self._watch.moved(self)

    # -- for the call ----------------------------------------------------------------------------------------

    @property
    def lock(self) -> real.Lock:
        """Of the whole watch."""
        return self._watch.lock

    @property
    def reason(self) -> str:
        """For who is interrupted."""
        return f"request_timeout: the call took longer than {self.limit_s:g} s"

    @property
    def spoken_for(self) -> bool:
        """The watchdog has answered, or has broken the response off."""
        return self._call in (_SEIZED, _BROKEN)

    @property
    def answered(self) -> bool:
        """The client has been told 504."""
        return self._call == _SEIZED

    def speak(self, final: bool) -> None:
        """Something of the response is about to be sent; not `final`: only 100 or 103, and then `hush`.

        Raises:
            ClientGone: the watchdog was first.
        """
        if self._call == _SPEAKING:
            return
        with self._watch.lock:
            self._may_speak()
            if self._call != _OVER:
                self._call = _SPEAKING if final else _INTERIM

    def hush(self) -> None:
        """It was sent."""
        with self._watch.lock:
            if self._call == _INTERIM:
                self._call = _SILENT

    def hand_over(self) -> None:
        """The end of the response is about to be sent, or the client to be taken from the server: from here on the call
        may take as long as it likes.

        Raises:
            ClientGone: the watchdog was first.
        """
        with self._watch.lock:
            self._may_speak()
            self._call = _OVER
            self._watch.forget(self)
            self._at = self.soft_at = self.hard_at = self.due = inf

    def leave(self) -> None:
        """The call is over: nothing may be raised into it any more. Again is harmless."""
        if self._call == _OVER:
            self.left = True  # what was handed over is nobody's to seize, so nothing was raised
            return
        with self._watch.lock:  # all of it again, if it was broken off
            self.left = True
            self._calm()
            self._watch.forget(self)

    def _may_speak(self) -> None:
        if self._call in (_SEIZED, _BROKEN):
            raise ClientGone(self.reason)

    # -- for the watchdog ------------------------------------------------------------------------------------

    def seize(self, now: float) -> bool:
        """Time is up: speak to the client in the call's place. False: the call is over, or its response, or it was
        extended in the last moment.
        """
        with self._watch.lock:  # the call must not come back before its client has been told
            return self._seize(now)

    def _seize(self, now: float) -> bool:
        if self._at > now:
            return False
        if self.left or self._call == _OVER or self._is_elsewhere():
            self.due = inf
            return False
        silent = self._call == _SILENT
        self._call = _SEIZED if silent else _BROKEN
        self.seen = True
        self.soft_at = inf
        if not self._answer(silent):
            self._call = _BROKEN
        return True

    def _answer(self, silent: bool) -> bool:
        """`silent`: nothing of a response was sent: send 504. Else break it off: False. Never waits, never raises."""
        raise NotImplementedError

    def stack(self) -> str:
        """Where the call is, as faulthandler writes it; "" when nobody knows."""
        raise NotImplementedError

    def waits(self) -> tuple[str, str]:
        """What its thread does, as thread_wait.of_thread tells; empty of a call that has none of its own."""
        return "", ""

    def interrupt(self) -> bool:
        """End the call where that is possible. False: not at this moment."""
        raise NotImplementedError

    def tell(self) -> None:
        """Nobody waits for the call any more: tell the access log and the counters of it, unless they know."""

    def _is_elsewhere(self) -> bool:
        """The application has the client's socket itself."""
        return False

    def _calm(self) -> None:
        """Take back what was raised and has not come yet. Under the lock."""
