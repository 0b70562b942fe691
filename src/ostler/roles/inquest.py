"""What the master finds out about a worker that hangs, or is dead: where the application was, why, and what to do.

Stacks and last words have come over the channel; the requests stand in the page, which outlives its process; of what
hangs the kernel knows more. observe/diagnosis.py reads all that.

Rules for editing: nothing here decides, signals or logs, and nothing raises for what a worker has written. Read the
page before another process is given it. No file of the application is read here: it may lie on a disk that hangs.
"""

import itertools
import os
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic as _monotonic
from typing import Final, Protocol

from ostler.config.settings import Settings
from ostler.logline import fields
from ostler.observe import causes
from ostler.observe.causes import Cause, cure_for
from ostler.observe.diagnosis import Evidence, Finding, Place, find, place_in_crash
from ostler.observe.masking import shown
from ostler.observe.scoreboard import Page
from ostler.process import kernel_wait
from ostler.process.belongings import LEFT_STATUS
from ostler.process.channel import Channel
from ostler.process.fork import Death
from ostler.process.oom import OomKiller

_SHOWN_REQUESTS: Final = 10
_LAST_REQUESTS: Final = 3
_SHOWN_PLACES: Final = 3
_MOST_TASKS: Final = 200
_BUSY_SHARE: Final = 0.3  # of a processor: it may have to share
_LEAST_S: Final = 0.1
_SITES: Final = tuple({sysconfig.get_path(name) for name in ("purelib", "platlib")})
_VAGUE_AT_BOOT: Final = (Cause.HANG, Cause.SLEEP, Cause.BUSY_LOOP)
"""Their cures are for requests."""
_EXIT_WORDS: Final = "os._exit("
_CRASH_WORDS: Final = "Fatal Python error"


class Subject(Protocol):
    """A worker or a mold as the master keeps it (children.py). page: None for a mold."""

    last_words: str
    finding: Finding | None
    sight: "Sight | None"
    killed: bool

    @property
    def pid(self) -> int: ...
    @property
    def channel(self) -> Channel: ...
    @property
    def page(self) -> Page | None: ...
    @property
    def settings(self) -> Settings: ...


@dataclass(frozen=True, slots=True)
class Sight:
    """What could be seen of a child that hangs before anybody touched it: signals wake what sleeps."""

    at: float
    evidence: Evidence
    cpu_s: float
    requests: tuple[tuple[float, str], ...]

    def computes_since(self, now: float, cpu_s: float) -> bool:
        """One that waits for the GIL does not run at every moment, either."""
        return cpu_s - self.cpu_s > _BUSY_SHARE * max(now - self.at, _LEAST_S)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of a death. serving: fields of the line about it: requests, place, cure. how: a clause about how it ended, which
    only matters when the master has not ended it; or empty.
    """

    serving: str = ""
    how: str = ""


def roots_of(settings: Settings) -> tuple[str, ...]:
    """Directories of the application's own code; its package, if it is installed as one."""
    name = settings.wsgi_app.partition(":")[0].partition(".")[0]
    package = [os.path.join(site, name) for site in _SITES] if name.isidentifier() else []
    return (settings.chdir, *settings.pythonpath, *package)


def in_flight(child: Subject) -> list[str]:
    """What the child's page shows as being served, oldest first: `request="GET /" for_s=1.2`."""
    page = child.page
    if page is None:
        return []
    now = _monotonic()
    mask = child.settings.mask_query
    requests = page.in_flight() or ([] if child.sight is None else child.sight.requests)
    words = [fields("", request=shown(what, mask), for_s=now - since).strip() for since, what in requests]
    more = max(0, len(words) - _SHOWN_REQUESTS) + page.unlisted
    return [*words[:_SHOWN_REQUESTS], *([f"more_requests={more}"] if more else [])]


def last_served(child: Subject) -> str:
    """What it has served before, the newest first: `last="GET /a 200 0.012 s, GET / 200 0.003 s"`; or empty."""
    page = child.page
    if page is None:
        return ""
    mask = child.settings.mask_query
    done = [
        f"{shown(each.what, mask)} {each.status or '-'} {each.took_s:.3f} s" for each in page.recent()[:_LAST_REQUESTS]
    ]
    return fields("", last=", ".join(done)).strip() if done else ""


def look(child: Subject) -> None:
    """Before the signal for its stacks."""
    requests = () if child.page is None else tuple(child.page.in_flight())
    child.sight = Sight(_monotonic(), _evidence(child), _cpu_s(child), requests)


def of_hang(child: Subject, stacks: str, instead: Cause | None = None) -> Finding:
    """Of a child whose stacks have arrived. instead: the cause, when it can only be seen that it hangs."""
    sight = child.sight
    evidence = _evidence(child) if sight is None else sight.evidence
    if sight is not None and sight.computes_since(_monotonic(), _cpu_s(child)):
        evidence = replace(evidence, main=("R", ""))
    roots = roots_of(child.settings)
    finding = find(stacks, roots, evidence)
    if finding.cause is Cause.HANG and sight is not None and _serves_the_same(child, sight):
        finding = find(stacks, roots, _evidence(child))  # a thread of ours may have been about to run at that moment
    child.finding = _or(finding, instead)
    return child.finding


def _serves_the_same(child: Subject, sight: Sight) -> bool:
    """The signal for its stacks has woken nothing that mattered."""
    return child.page is not None and tuple(child.page.in_flight()) == sight.requests != ()


def words_of(finding: Finding, instead: Cause | None = None) -> str:
    """`at="app.py:12 in total" cause="it sleeps" cure="..."`. instead: as in `of_hang`."""
    cause = _or(finding, instead).cause
    return " ".join(filter(None, (_places(finding), fields("", cause=cause, cure=cure_for(cause)).strip())))


def _or(finding: Finding, instead: Cause | None) -> Finding:
    vague = _VAGUE_AT_BOOT if instead is Cause.BOOT_SLOW else (Cause.HANG,)
    return finding if instead is None or finding.cause not in vague else replace(finding, cause=instead)


class Inquest:
    """Into each death, in the master's one thread. It keeps count of what the OOM killer has done."""

    def __init__(self) -> None:
        self._oom = OomKiller()

    def hold(self, child: Subject, death: Death) -> Verdict:
        """Before the child is buried: its page may be given to another at once."""
        child.last_words = child.last_words or child.channel.take_dump()
        requests = in_flight(child)
        killer = self._oom.explain() if death.signal == "SIGKILL" else ""
        finding, how = _of_death(child, death, killer, bool(requests))
        ours = death.signal == "SIGKILL" and child.killed  # a worker that serves nothing has no need of a cure then
        cure = "" if ours and child.finding is None and not requests else cure_for(finding.cause)
        words = [f"peak_rss_mb={death.peak_bytes / 1e6:.0f}" if death.peak_bytes else "", *requests]
        words += [_places(finding), fields("", cure=cure).strip() if cure else "", last_served(child)]
        if death.signal == "SIGKILL" and child.finding is None and not ours:
            # Tools look for these words of Gunicorn's.
            gunicorn = f"Worker (pid:{child.pid}) was sent SIGKILL! Perhaps out of memory?"
            words.append(fields("", gunicorn_says=gunicorn).strip())
        return Verdict(" ".join(filter(None, words)), how)


def _of_death(child: Subject, death: Death, killer: str, serves: bool) -> tuple[Finding, str]:
    if child.finding is not None:  # the master was about to end it
        return child.finding, killer
    if death.signal == "SIGKILL" and child.killed:
        return Finding(None, Cause.CUT), killer
    if death.signal == "SIGKILL":
        out_of_memory = killer.startswith("out of memory")
        return Finding(None, Cause.OUT_OF_MEMORY if out_of_memory else Cause.KILLED_BY_SOMEBODY), killer
    if death.signal is not None:
        finding = Finding(_place(child, _CRASH_WORDS), causes.of_signal(death.signal))
    elif death.status == LEFT_STATUS:
        finding = Finding(None, Cause.DESCRIPTORS_TAKEN)
    elif _EXIT_WORDS in child.last_words:
        finding = Finding(_place(child, _EXIT_WORDS), Cause.EXIT_CALLED)
    else:
        finding = Finding(None, Cause.EXITED if death.status else Cause.LEFT)
    return finding, str(finding.cause) + (" in a request" if serves and death.signal is None else "")


def _place(child: Subject, words: str) -> Place | None:
    """By what it has said after these words; before them may be stacks that somebody has asked for."""
    _, found, said = child.last_words.rpartition(words)
    return place_in_crash(said, roots_of(child.settings)) if found else None


def _places(finding: Finding) -> str:
    if finding.place is None:
        return ""
    at = fields("", at=finding.place).strip()
    others = _listed(finding.others)
    return f"{at} {fields('', other_threads_at=others).strip()}" if others else at


def _listed(places: Sequence[object]) -> str:
    more = len(places) - _SHOWN_PLACES
    return ", ".join(map(str, places[:_SHOWN_PLACES])) + (f", {more} more" if more > 0 else "")


def _evidence(child: Subject) -> Evidence:
    main, others = ("", ""), []
    for each in itertools.islice(kernel_wait.tasks(child.pid), _MOST_TASKS):
        if each.task == child.pid:
            main = each.state, each.wchan
        else:
            others.append((each.state, each.wchan))
    gil_free = None if child.page is None else _gil_free(child.page, child.settings)
    return Evidence(main, tuple(others), gil_free)


def _cpu_s(child: Subject) -> float:
    """Of its main thread."""
    main = kernel_wait.reason(child.pid)
    return 0.0 if main is None or main.task != child.pid else main.cpu_s


def _gil_free(page: Page, settings: Settings) -> bool:
    """Some thread of the worker, at least, has run Python code lately (it may be that there is no other one)."""
    now = _monotonic()
    beat_s = min(1.0, settings.timeout / 4) if settings.timeout else 1.0
    silent_s, ticking_s = now - page.last_beat, now - page.last_tick
    return min(silent_s, ticking_s) < 2 * beat_s + 0.3 or ticking_s < silent_s / 2
