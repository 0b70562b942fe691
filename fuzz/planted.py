"""The bugs of planted.toml: put into a copy of src/, and looked for.

A bug counts as found when the fuzzer stops with a finding within its runs. Its seeds are well-formed messages under
plain settings, of which those that the broken copy fails at once are taken away: what finds the bug is the fuzzer's
own work.
"""

import shutil
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fuzz.corpus import ROOT
from fuzz.running import Result, fuzz, sift, write_seeds

RUNS: Final = 300_000
"""Within these a planted bug must be found. Most take some hundreds or thousands, the slowest some ten thousand."""


@dataclass(frozen=True)
class Bug:
    """One entry."""

    name: str
    target: str
    quick: bool
    edits: list[tuple[str, str, str]]
    """File below src/ostler, text, replacement."""


@dataclass(frozen=True)
class Proof:
    """How looking for a bug went."""

    bug: Bug
    seeds: int
    removed: int
    """Seeds that showed the bug at once, and were taken away."""
    result: Result


def bugs() -> list[Bug]:
    """All of planted.toml."""
    entries = tomllib.loads((ROOT / "fuzz" / "planted.toml").read_text("utf-8"))["bug"]
    return [
        Bug(
            entry["name"],
            entry["target"],
            entry.get("quick", False),
            [(entry["file"], entry["text"], entry["replacement"]), *(tuple(edit) for edit in entry.get("also", ()))],
        )
        for entry in entries
    ]


def plant(bug: Bug, folder: Path) -> Path:
    """A copy of src/ with the bug.

    Raises:
        ValueError: a text is not in its file exactly once; planted.toml must follow the code.
    """
    source = folder / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name, text, replacement in bug.edits:
        path = source / "ostler" / name
        code = path.read_text("utf-8")
        if code.count(text) != 1:
            raise ValueError(
                f"fuzz/planted.toml, {bug.name!r}: expected its text once in {name}, found {code.count(text)}"
            )
        path.write_text(code.replace(text, replacement), "utf-8")
    return source


def look_for(bug: Bug, folder: Path, runs: int = RUNS, seed: int = 1) -> Proof:
    """Plant the bug below `folder`, an empty one, and fuzz until it is found or the runs are used up."""
    source = plant(bug, folder)
    seeds = folder / "seeds"
    count = write_seeds(bug.target, seeds, wellformed=True)
    removed = sift(bug.target, seeds, source)
    result = fuzz(
        bug.target,
        [f"-runs={runs}", f"-seed={seed}"],
        corpus=[folder / "corpus", seeds],
        findings=folder / "findings",
        source=source,
    )
    return Proof(bug, count - removed, removed, result)


def table(proofs: Iterable[Proof]) -> str:
    """For people."""
    lines = [f"{'planted bug':<78} {'target':<12} {'seeds':>5} {'runs':>7} {'s':>6}"]
    for proof in proofs:
        found = f"{proof.result.runs:>7} {proof.result.seconds:>6.1f}" if proof.result.finding else "NOT FOUND"
        lines.append(f"{proof.bug.name:<78} {proof.bug.target:<12} {proof.seeds:>5} {found}")
    return "\n".join(lines)
