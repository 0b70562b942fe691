"""The table of `make faults`: rows are scenarios and servers, columns are conditions, cells the requests that failed.

It is printed to standard output; what is being played goes to standard error. Nothing is written but the peers'
environment in the cache directory.
"""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.faults.conditions import ALL, Condition
from tests.faults.contestants import Gunicorn, Ostler
from tests.faults.peers import Granian, Uwsgi, install
from tests.faults.scenarios import Outcome, Scenario
from tests.faults.stage import Contestant

RECOVERY_LIMIT_MS = 100
GONE_LIMIT_S = 1.0
CONTESTANTS: dict[str, Contestant] = {one.name: one for one in (Ostler(), Gunicorn(), Granian(), Uwsgi())}
EXAMPLES = 3
CELL = 6
KEY = """
Cells: requests that failed, of clients that keep their connection, that pipeline and that connect each time, together;
kill -9 of the master: how long a process of the server was left. "-": the server has no such thing. "*": see below.
Remarks: "turned away" came after the doors of a server that was told to stop had closed; of a killed worker, what it
was executing is lost, and what else was on its connections; "without pipelining": in how many cells, as the server
never answers several requests that are on the wire at once; "recycles only": so many in all.
Columns: sync (one thread), gthread (four), gevent or asgi; tcp or unix socket; d: clients ask the server, n: Nginx
keeps connections to it; preloaded (+) or not (-)."""


@dataclass
class Row:
    scenario: Scenario
    contestant: Contestant
    count: int
    outcomes: dict[Condition, Outcome | None] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{f'{self.count} ' if self.scenario.full > 1 else ''}{self.scenario.title}"

    def cell(self, condition: Condition) -> str:
        outcome = self.outcomes.get(condition)
        if outcome is None:
            return "-"
        return (outcome.cell or str(len(outcome.failed))) + ("*" if outcome.problems else "")

    def remarks(self) -> str:
        played = [outcome for outcome in self.outcomes.values() if outcome is not None]
        parts = [f"{sum(outcome.requests for outcome in played)} requests"] if played else []
        if recoveries := [outcome.recovery_ms for outcome in played if outcome.recovery_ms is not None]:
            what = "full strength after boot" if self.contestant.name == "ostler" else "full strength after"
            parts.append(f"{what} + {median(recoveries):.0f} ms (worst {max(recoveries):.0f})")
        counts = sum((outcome.counts for outcome in played), Counter[str]())
        parts += [f"{number} {what}" for what, number in counts.items()]
        return "; ".join(parts)

    def notes(self) -> list[str]:
        """What stands below the table, of each cell that is not as it should be."""
        lines = []
        for condition, outcome in self.outcomes.items():
            if outcome is None:
                continue
            details = [*outcome.problems, *map(str, outcome.failed[:EXAMPLES])]
            if len(outcome.failed) > EXAMPLES:
                details.append(f"and {len(outcome.failed) - EXAMPLES} more")
            if details:
                lines.append(f"{self.title} | {self.contestant.name} | {condition}: {'; '.join(details)}")
        return lines

    def kept_promises(self) -> bool:
        """Of Ostler: nothing failed."""
        return all(
            not (outcome.failed or outcome.problems)
            and (outcome.recovery_ms or 0) <= RECOVERY_LIMIT_MS
            and (outcome.gone_s or 0) <= GONE_LIMIT_S
            for outcome in self.outcomes.values()
            if outcome is not None
        )


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def present(names: Sequence[str]) -> list[Contestant]:
    """Those that can be played; a peer that cannot be installed is left out, and standard error says so."""
    found = []
    for name in names:
        if name in ("granian", "uwsgi"):
            try:
                install(name)
            except (OSError, subprocess.CalledProcessError) as error:
                tell(f"{name} is left out: {error}")
                continue
        found.append(CONTESTANTS[name])
    return found


def play(scenario: Scenario, contestant: Contestant, condition: Condition, count: int) -> Outcome | None:
    if contestant.lacks(scenario.name, condition):
        return None
    try:
        return scenario.play(contestant, condition, count)
    except Exception as error:  # noqa: BLE001  (something that had to happen did not: a peer that is down, mostly)
        text = str(error) or repr(error)
        tell("\n".join([text, *getattr(error, "__notes__", [])]))
        return Outcome(cell="!", problems=[text.splitlines()[0]])


def run(
    scenarios: Sequence[Scenario], names: Sequence[str], conditions: Sequence[Condition], count: int | None
) -> list[Row]:
    rows = []
    for scenario in scenarios:
        for contestant in present(names):
            times = scenario.full if count is None else min(count, scenario.full)
            row = Row(scenario, contestant, times)
            rows.append(row)
            for condition in conditions:
                row.outcomes[condition] = play(scenario, contestant, condition, times)
                tell(f"{row.title}, {contestant.name}, {condition}: {row.cell(condition)}")
    return rows


def heads(conditions: Sequence[Condition]) -> list[list[str]]:
    return [
        [one.kind[:5] for one in conditions],
        [one.transport for one in conditions],
        [("d" if one.path == "direct" else "n") + ("+" if one.preload else "-") for one in conditions],
    ]


def show(rows: Sequence[Row], conditions: Sequence[Condition]) -> str:
    """The table, its key, and notes."""
    titles = [row.title for row in rows]
    names = [f"{row.contestant.name} {row.contestant.version}" for row in rows]
    wide = (max(map(len, titles), default=0), max(map(len, names), default=0))

    def line(title: str, name: str, cells: Sequence[str], remark: str = "") -> str:
        text = f"{title:{wide[0]}}  {name:{wide[1]}}" + "".join(f"{cell:>{CELL}}" for cell in cells)
        return f"{text}  {remark}".rstrip()

    lines = [line("", "", head) for head in heads(conditions)]
    before = ""
    for row, title, name in zip(rows, titles, names, strict=True):
        cells = [row.cell(condition) for condition in conditions]
        lines.append(line("" if title == before else title, name, cells, row.remarks()))
        before = title
    lines += [KEY, "", *(note for row in rows for note in row.notes())]
    return "\n".join(lines)


def conditions_like(texts: Sequence[str]) -> list[Condition]:
    """Those whose words include all of the words given; none with Nginx where it is not installed."""
    found = [condition for condition in ALL if set(texts) <= set(str(condition).split())]
    if shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])) is None:
        tell("nginx is not installed (.ci/run installs it): clients ask directly only")
        found = [condition for condition in found if condition.path == "direct"]
    return found
