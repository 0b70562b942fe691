"""The watchdog of one worker: which application calls take longer than `request_timeout` allows, and what then.

Whoever turns the loop calls `look` in time. A call that is overdue is seized (its client hears 504, or sees its
response break off), shown in the log with its stack, and interrupted if its kind can do that; this is tried again until
it has worked. One that goes on beyond its hard deadline is *stranded*: the worker asks once to be replaced, and neither
such a call nor its client holds its exit.

The worker's page says when the nearest deadlines are, for the master, who acts when nobody here can (C code holds the
GIL, an event loop is blocked): supervisor/overdue.py. What the page says is never earlier than what is true.

Rules for editing: `begin` and `forget` run for every request, `look` for every tick; the rest only when time is up. All
that is the kind's own is in its `Deadline`. A defect in here must not end the loop.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from math import inf
from types import CodeType, FrameType
from typing import Final

from ostler import real
from ostler.app.deadline import Deadline, Limits
from ostler.logline import fields
from ostler.observe.diagnosis import Evidence, find
from ostler.observe.masking import shown
from ostler.observe.scoreboard import Page

_LOOKS: Final = 4
"""In the shortest limit."""
_LONGEST_STEP_S: Final = 1.0
_SHORTEST_STEP_S: Final = 0.02
_AGAIN_S: Final = 0.1
"""A call that could not be interrupted (our own code was running in it) is looked at again."""
_QUESTIONS: Final = 5
"""At one look, of threads, to the kernel: each takes ten milliseconds, in which the loop stands still."""
_SHOWN_FRAMES: Final = 60


class Overdue:
    """See the module's text. One per worker, where `request_timeout` is on."""

    def __init__(
        self, limits: Limits, page: Page, log: logging.Logger, roots: Sequence[str], mask_query: bool = False
    ) -> None:
        """`roots`: directories of the application's own code."""
        self.limits = limits
        self.lock = real.make_lock()
        self.step_s = min(_LONGEST_STEP_S, max(_SHORTEST_STEP_S, limits.shortest_s / _LOOKS))
        """How often `look` is to be called at least: calls may begin, or be told another time, after each."""
        self.stranded = 0
        """Calls beyond their hard deadline that have not ended."""
        self.stranded_clients = 0
        """Those among them whose clients cannot be closed."""
        self.ask: Callable[[str], object] = lambda _detail: None
        """Called once: this worker is to be replaced. With fields of a log line."""
        self._page = page
        self._log = log
        self._roots = roots
        self._mask = mask_query
        self._asked = False
        self._questions = 0
        self._calls: dict[Deadline, None] = {}
        """In the order of their beginning."""
        self._soft_at = inf
        self._hard_at = inf
        """As the page has them."""

    # -- for the calls ---------------------------------------------------------------------------------------

    def limit(self, path: str) -> float:
        """How long a call may take; infinite: nobody has to watch over it."""
        return self.limits.of(path)

    def begin(self, deadline: Deadline) -> None:
        """Its call begins."""
        with self.lock:
            self._calls[deadline] = None
            if deadline.soft_at < self._soft_at or deadline.hard_at < self._hard_at:
                self._tell(min(self._soft_at, deadline.soft_at), min(self._hard_at, deadline.hard_at))

    def forget(self, deadline: Deadline) -> None:
        """See `Watch`."""
        if self._calls.pop(deadline, self) is self:
            return
        if deadline.stranded:
            self.stranded -= 1
            self.stranded_clients -= deadline.holds_client
        self._drop(deadline)

    def moved(self, deadline: Deadline) -> None:
        """See `Watch`."""
        self._look_again()

    def _drop(self, deadline: Deadline) -> None:
        """Which call is the nearest now is known exactly at the next tick; until then, one that is not earlier."""
        if deadline.soft_at <= self._soft_at or deadline.hard_at <= self._hard_at:
            first = next(iter(self._calls), None)
            if first is None:
                self._tell(inf, inf)
            else:
                self._tell(first.soft_at, first.hard_at)

    def _look_again(self) -> None:
        soft_at = hard_at = inf
        for call in self._calls:
            soft_at = min(soft_at, call.soft_at)
            hard_at = min(hard_at, call.hard_at)
        self._tell(soft_at, hard_at)

    def _tell(self, soft_at: float, hard_at: float) -> None:
        self._soft_at, self._hard_at = soft_at, hard_at
        self._page.set_dues(soft_at, hard_at)

    # -- for the loop ----------------------------------------------------------------------------------------

    def look(self, now: float) -> float:
        """Act on what is due, and tell the page what comes next. Returns when to look again."""
        self._questions = _QUESTIONS
        for call in list(self._calls):
            if call.due <= now:
                try:
                    self._act(call, now)
                except Exception:  # noqa: BLE001  a defect of ours must not end the loop
                    call.due = inf
                    self._log.exception("overdue request not handled; this is a defect of Ostler, please report it")
        with self.lock:
            self._look_again()
            return min((call.due for call in self._calls), default=inf)

    def tell_of_stranded(self) -> None:
        """The worker leaves, and they do not: nobody else will tell of them."""
        for call in list(self._calls):
            if call.stranded:
                call.tell()

    def _act(self, call: Deadline, now: float) -> None:
        if not call.seen:
            stack = call.stack()
            if not call.seize(now):
                return
            self._report(call, stack, now)
        if now >= call.hard_at:
            self._strand(call, now)
            return
        call.interrupted = call.interrupted or call.interrupt()
        call.due = call.hard_at if call.interrupted else min(call.hard_at, now + _AGAIN_S)

    def _report(self, call: Deadline, stack: str, now: float) -> None:
        self._questions -= 1
        finding = find(stack, self._roots, Evidence(call.waits() if self._questions >= 0 else ("", "")))
        place = {} if finding.place is None else {"at": finding.place}
        line = fields(
            "request timeout: an application call takes too long",
            request=self._what(call),
            for_s=f"{now - call.began:.1f}",
            limit_s=f"{call.limit_s:g}",
            answer="504" if call.answered else "broken off",
            **place,
            cause=finding.cause.value,
            cure=finding.cure.replace("`timeout`", "`request_timeout`"),
        )
        self._log.warning("%s", f"{line}\n{stack.rstrip()}" if stack else line)

    def _strand(self, call: Deadline, now: float) -> None:
        with self.lock:
            call.due = call.hard_at = inf
            if call.left:
                return
            call.stranded = True
            self.stranded += 1
            self.stranded_clients += call.holds_client
        line = fields("", request=self._what(call), for_s=f"{now - call.began:.1f}").strip()
        text = "request outlives its hard timeout, the worker is to be replaced"
        self._log.error("%s", f"{text} {line} interrupted={'yes' if call.interrupted else 'no'}")
        if not self._asked:
            self._asked = True
            self.ask(line)

    def _what(self, call: Deadline) -> str:
        return shown(f"{call.head.method} {call.head.target}", self._mask)


def stack_of(frame: FrameType | None, title: str, end: CodeType) -> str:
    """As faulthandler writes it, down to `end`, ours, which called the application. A frame that runs meanwhile may be
    shown at another line.
    """
    if frame is None:
        return ""
    lines = [f"{title} (most recent call first):"]
    while frame is not None and len(lines) <= _SHOWN_FRAMES:
        lines.append(f'  File "{frame.f_code.co_filename}", line {frame.f_lineno} in {frame.f_code.co_name}')
        frame = frame.f_back if frame.f_code is not end else None
    return "\n".join(lines) + "\n"


def frame_of_thread(ident: int) -> FrameType | None:
    """Of a thread that may be this one."""
    return sys._current_frames().get(ident)
