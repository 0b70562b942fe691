"""The kinds of rows of Gunicorn's surface, and the verdict of how far this version keeps a row.

For settings and hooks the table of settings gives the verdict (`Setting.support`, `Setting.note`); for everything else
its row does. Rules for editing: a note stands in a table of a page, without a full stop; it changes with the code.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from ostler.config.setting import Support


@dataclass(frozen=True)
class Verdict:
    """A support and, unless that is WORKS, why or how."""

    support: Support
    note: str = ""


WORKS: Final = Verdict(Support.WORKS)


def differs(note: str) -> Verdict:
    """It works, but for what the note says."""
    return Verdict(Support.DIFFERS, note)


def refused(note: str) -> Verdict:
    """It is not built yet."""
    return Verdict(Support.REFUSED, note)


def unused(note: str) -> Verdict:
    """It has nothing to act on here."""
    return Verdict(Support.UNUSED, note)


class Row(Protocol):
    """Anything that must have a test."""

    @property
    def key(self) -> str:
        """`kind:name`, unique."""


class Judged(Row, Protocol):
    """A row with a verdict of its own: it is no setting."""

    @property
    def verdict(self) -> Verdict:
        """How far this version keeps it."""


@dataclass(frozen=True)
class Variable:
    """1.2: a variable of the environment."""

    name: str
    effect: str
    verdict: Verdict = WORKS

    @property
    def key(self) -> str:
        return f"env:{self.name}"


@dataclass(frozen=True)
class Hook:
    """1.3: a function of the configuration file."""

    name: str
    arguments: str
    process: str
    """master, worker, or child (forked, not a worker)."""
    refused: bool = False

    @property
    def key(self) -> str:
        return f"hook:{self.name}"


@dataclass(frozen=True)
class WorkerClass:
    """1.4: a name that -k takes, and the class behind it; both are accepted."""

    alias: str
    path: str
    verdict: Verdict

    @property
    def key(self) -> str:
        return f"worker:{self.alias}"


@dataclass(frozen=True)
class Fact:
    """A row that is its name: what it must do is in its test."""

    kind: str
    name: str
    meaning: str = ""
    verdict: Verdict = WORKS

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True)
class Signal:
    """1.5: what a signal means to one of the two processes."""

    name: str
    process: str
    meaning: str
    verdict: Verdict = WORKS

    @property
    def key(self) -> str:
        return f"signal:{self.name}:{self.process}"
