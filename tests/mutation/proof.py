"""Whether the corpora notice that something is wrong with `ostler.http`.

A mutant's code is run in a forked child: the modules that depend on the broken one are made anew over it, the runner of
the corpus (tests/unit/http/serving.py) is made anew over them, and trials follow until one fails. Nothing is written,
and the modules of this process stay whole.

A trial is one case in one manner. Which lines each trial runs through is recorded once with sound code, so that a
mutant is met only by trials that come past it, and first by one of every different way through its function.
"""

import ast
import contextlib
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any, Final

import ostler.http
from tests.mutation import units
from tests.unit.http import serving
from tests.unit.http.corpus import REQUESTS, RESPONSES, Case, load, raw

SOURCES: Final = Path(ostler.http.__file__).parent
RUNNER: Final = "tests.unit.http.serving"
SHORT_BYTES: Final = 400
CUT: Final = ("chunk_extensions", "trailers", "pipelining")
"""Files whose cases are also cut in two at every byte: what a reader remembers of half a line shows there."""
HANG_S: Final = 0.3
"""Processor time after which a trial counts as failed: it hangs."""
MEMORY_BYTES: Final = 2 << 30

Spot = tuple[str, int]
"""A module's name and a line."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One case in one manner: the name of a function of the runner."""

    manner: str
    case: Case

    def run(self, runner: ModuleType) -> None:
        if self.manner == UNIT:
            units.run(self.case)
        else:
            getattr(runner, self.manner)(self.case)


UNIT: Final = "unit"
"""The manner of a unit test, tried when the corpora did not notice."""


def trials() -> list[Trial]:
    """All of them: responses, then requests whole, followed, byte by byte; then unit tests."""
    short = [case for case in REQUESTS if len(raw(case["request"])) <= SHORT_BYTES]
    return [
        *(Trial("try_response", case) for case in load(RESPONSES)),
        *(Trial("try_whole", case) for case in REQUESTS),
        *(Trial("try_followed_whole", case) for case in short if serving.can_be_followed(case)),
        *(Trial("try_early", case) for case in REQUESTS if "early" in case),
        *(Trial("try_strict", case) for case in REQUESTS if "strict" in case),
        *(Trial("try_bytewise", case) for case in short),
        *(Trial("try_cut", case) for case in short if case["id"].startswith(CUT)),
        *(Trial(UNIT, test) for test in units.tests()),
    ]


class Package:
    """The modules of `ostler.http`, and what depends on what."""

    def __init__(self) -> None:
        self.source = {path.stem: path.read_text("utf-8") for path in SOURCES.glob("*.py") if path.stem != "__init__"}
        self._needs = {name: _imports(source) for name, source in self.source.items()}
        self._code = {
            name: compile(source, str(SOURCES / f"{name}.py"), "exec") for name, source in self.source.items()
        }
        runner = Path(serving.__file__)
        self._runner = compile(runner.read_text("utf-8"), str(runner), "exec")

    def load(self, broken: str, code: CodeType) -> ModuleType:
        """Make `broken` of `code`, and everything that depends on it anew; the runner over them. In a child only."""
        again = {broken}
        while more := {name for name, needs in self._needs.items() if needs & again} - again:
            again |= more
        for name in self._in_order(again):
            _make(f"ostler.http.{name}", code if name == broken else self._code[name])
        return _make(RUNNER, self._runner)

    def _in_order(self, names: set[str]) -> Iterator[str]:
        left = set(names)
        while left:
            ready = sorted(name for name in left if not self._needs[name] & left)
            yield from ready
            left -= set(ready)


def _imports(source: str) -> set[str]:
    tree = ast.parse(source)
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return {module.rpartition(".")[2] for module in modules if module.startswith("ostler.http.")}


def _make(name: str, code: CodeType) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = code.co_filename
    sys.modules[name] = module
    exec(code, module.__dict__)
    return module


class Coverage:
    """Which trials come past a line, best first. A set of lines is a number with a bit for each, as there are many."""

    def __init__(self, every: Iterable[Trial]) -> None:
        self._trials = list(every)
        self._bits: dict[Spot, int] = {}
        self._seen = [self._mask(_lines_of(trial)) for trial in self._trials]
        fresh: list[int] = []
        known = 0
        for index, mask in enumerate(self._seen):
            if mask & ~known:
                fresh.append(index)
                known |= mask
        self._spread = sorted(range(len(self._trials)), key=lambda index: (index not in fresh, index))

    def _mask(self, spots: Iterable[Spot]) -> int:
        mask = 0
        for spot in spots:
            mask |= 1 << self._bits.setdefault(spot, len(self._bits))
        return mask

    def everywhere(self) -> list[Trial]:
        """All trials; first some that come past every line together. Unit tests stand behind the corpora."""
        return sorted((self._trials[index] for index in self._spread), key=lambda trial: trial.manner == UNIT)

    def past(self, module: str, lines: range, line: int) -> list[Trial]:
        """Trials that come past `line`, one of each way through `lines` first, then the others."""
        at = self._mask([(module, line)])
        around = self._mask((module, number) for number in lines)
        ways: dict[int, list[int]] = {}
        for index, seen in enumerate(self._seen):
            if seen & at:
                ways.setdefault(seen & around, []).append(index)
        # The rare ways first: they end where the common ones go on.
        rows = sorted(ways.values(), key=len)
        longest = max(map(len, rows), default=0)
        return [self._trials[row[turn]] for turn in range(longest) for row in rows if turn < len(row)]


def _lines_of(trial: Trial) -> set[Spot]:
    spots: set[Spot] = set()
    names = _FILES

    def local(frame: FrameType, event: str, _: Any) -> Any:
        spots.add((names[frame.f_code.co_filename], frame.f_lineno))
        return local

    def entered(frame: FrameType, event: str, _: Any) -> Any:
        return local if frame.f_code.co_filename in names else None

    former = sys.gettrace()
    sys.settrace(entered)
    try:
        trial.run(serving)
    finally:
        sys.settrace(former)
    return spots


_FILES: Final = {str(path): path.stem for path in SOURCES.glob("*.py")}


def killer(package: Package, broken: str, code: CodeType, chosen: list[Trial]) -> str | None:
    """What noticed the mutant: the trial's case, or how it failed otherwise; None when it survived all of them."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            _child(package, broken, code, chosen, lambda text: os.write(writer, text.encode()[:500]))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        text = answer.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return text or "no answer" if text != "survived" else None


def _child(package: Package, broken: str, code: CodeType, chosen: list[Trial], answer: Callable[[str], object]) -> None:
    gc.disable()
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG_S)
    try:
        runner = package.load(broken, code)
    except BaseException as error:  # noqa: BLE001  whatever it is, the mutant is noticed
        answer(f"does not load: {error!r}")
        return
    for trial in chosen:
        signal.setitimer(signal.ITIMER_VIRTUAL, HANG_S)
        try:
            trial.run(runner)
        except BaseException:  # noqa: BLE001  the same
            answer(f"{trial.manner} {trial.case['id']}")
            return
    answer("survived")
