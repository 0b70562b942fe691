"""The judgement of a canary: what the first worker of a new generation does, held against what the others do meanwhile.

It is worse at any time when its share of 5xx is clearly above theirs, and at the end when its requests take clearly
longer. Both have to have seen enough to say so; a canary that has seen little passes, and the log says how little,
unless it has seen little because it is stuck.

Rules for editing: pure arithmetic; who is watched, and what follows, is reload.py's.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from ostler.logline import fields
from ostler.supervisor.events import Work

# Fewer answers with 5xx may be chance.
LEAST_ERRORS: Final = 3
# The others' share may be doubled, and a hundredth more: one that fails where nobody else does, but seldom, passes.
SHARE_FACTOR: Final = 2.0
SHARE_MARGIN: Final = 0.01
# A mean of fewer requests says little. A new worker has cold caches, hence the margin.
LEAST_REQUESTS: Final = 20
MEAN_FACTOR: Final = 2.0
MEAN_MARGIN_S: Final = 0.05
# Requests that take so much longer than the others' keep a canary from seeing more.
STUCK_FACTOR: Final = 2.0
STUCK_MARGIN_S: Final = 1.0


class Canary:
    """One canary, from its readiness to `until`."""

    def __init__(self, age: int, until: float, so_far: Mapping[int, Work]) -> None:
        """so_far: by age, what the others had done before."""
        self.age = age
        self.until = until
        self._before = dict(so_far)
        self._latest: dict[int, Work] = {}
        self._own = Work()

    def note(self, own: Work | None, others: Mapping[int, Work]) -> None:
        """What they have done since they serve, by age. Those that are gone count with what was last heard of them."""
        self._own = own or self._own
        self._latest |= others

    def complaint(self) -> str:
        """What is wrong with it already; "" when nothing is."""
        own, others = self._own, self._others()
        limit = SHARE_FACTOR * _share(others) + SHARE_MARGIN
        if own.errors < LEAST_ERRORS or _share(own) <= limit:
            return ""
        return (
            f"{own.errors} of {own.requests} requests were answered with 5xx, "
            f"of the other workers' {others.errors} of {others.requests}"
        )

    def verdict(self) -> str:
        """At the end: what is wrong with it; "" when nothing is."""
        return self.complaint() or self._slow()

    def _slow(self) -> str:
        own, others = self._own, self._others()
        if others.requests < LEAST_REQUESTS:
            return ""
        if own.requests < LEAST_REQUESTS and max(_mean_s(own), own.longest_s) > _stuck_s(others):
            longest = f", and one has been running for {own.longest_s:.1f} s" if own.longest_s else ""
            return f"it has answered {own.requests} requests in {own.busy_s:.1f} s{longest}"
        limit_s = MEAN_FACTOR * _mean_s(others) + MEAN_MARGIN_S
        if own.requests < LEAST_REQUESTS or _mean_s(own) <= limit_s:
            return ""
        own_ms, others_ms = _mean_s(own) * 1000, _mean_s(others) * 1000
        return f"requests took {own_ms:.0f} ms on average, of the other workers {others_ms:.0f} ms"

    def figures(self) -> str:
        """Fields of a log line."""
        return f"{_figures('', self._own)} {_figures('others_', self._others())}"

    def _others(self) -> Work:
        return _sum(_since(self._before.get(age, Work()), work) for age, work in self._latest.items())


def _since(before: Work, now: Work) -> Work:
    done = now.requests - before.requests, now.errors - before.errors, now.busy_s - before.busy_s
    return Work(*done, now.longest_s)


def _sum(works: Iterable[Work]) -> Work:
    total = Work()
    for work in works:
        done = total.requests + work.requests, total.errors + work.errors, total.busy_s + work.busy_s
        total = Work(*done, max(total.longest_s, work.longest_s))
    return total


def _share(work: Work) -> float:
    return work.errors / work.requests if work.requests else 0.0


def _stuck_s(others: Work) -> float:
    return STUCK_FACTOR * max(_mean_s(others), others.longest_s) + STUCK_MARGIN_S


def _mean_s(work: Work) -> float:
    """With the one that runs, which a mean of finished ones would forget the longer it takes."""
    running = 1 if work.longest_s else 0
    count = work.requests + running
    return (work.busy_s + work.longest_s) / count if count else 0.0


def _figures(prefix: str, work: Work) -> str:
    mean_ms = round(_mean_s(work) * 1000, 1)
    named: dict[str, object] = {"requests": work.requests, "5xx": work.errors, "mean_ms": mean_ms}
    return fields("", **{prefix + name: value for name, value in named.items()}).strip()
