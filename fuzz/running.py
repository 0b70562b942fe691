"""Starts fuzzing processes (child.py) and reads what libFuzzer says: for everything that fuzzes."""

import importlib.util
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fuzz import targets
from fuzz.corpus import ROOT

FINDINGS: Final = ROOT / "fuzz" / "findings"
MOST_BYTES: Final = 1032
"""The longest input; what is to be long is stretched (reading.py)."""
ONE_RUN_S: Final = 10
"""Longer than this, one run is a finding. The last resort: what costs too much is counted, not timed."""

_STATUS: Final = re.compile(r"^#(\d+)\t.*? cov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)
_UNITS: Final = re.compile(r"stat::number_of_executed_units: (\d+)")
_REASON: Final = re.compile(r"=== Uncaught Python exception: ===\n(.*)")


@dataclass(frozen=True)
class Result:
    """One process."""

    target: str
    runs: int
    seconds: float
    coverage: int
    """Edges of ostler.http that were reached."""
    features: int
    corpus: int
    finding: Path | None
    reason: str
    """What the finding says, in one line."""


def why_not() -> str | None:
    """Why nothing can be fuzzed here, or None."""
    if importlib.util.find_spec("atheris") is not None:
        return None
    here = f"Python {sys.version_info.major}.{sys.version_info.minor} on {sys.platform} {platform.machine()}"
    return (
        f"fuzz: expected atheris, found none for {here}; PyPI has wheels for CPython 3.11 to 3.14 on Linux x86_64: "
        "say `pip install '.[fuzz]'` there. `python -m fuzz.replay FILE` works without it"
    )


def write_seeds(target: str, folder: Path, wellformed: bool = False) -> int:
    """Write a target's seeds as files; how many."""
    folder.mkdir(parents=True, exist_ok=True)
    seeds = list(targets.load(target).seeds(wellformed))
    for number, seed in enumerate(seeds):
        (folder / f"{number:04}").write_bytes(seed)
    return len(seeds)


def sift(target: str, folder: Path, source: Path) -> int:
    """Remove the seeds that fail at once with the code in `source`; how many."""
    done = subprocess.run(
        [sys.executable, "-m", "fuzz.child", target, "--sift", folder],
        cwd=ROOT,
        env=environment(source),
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout.rpartition("removed=")[2])


def environment(source: Path) -> dict[str, str]:
    """Of a process that imports ostler from `source`."""
    return os.environ | {"PYTHONPATH": f"{source}{os.pathsep}{ROOT}", "PYTHONHASHSEED": "0"}


def fuzz(target: str, options: list[str], corpus: list[Path], findings: Path, source: Path = ROOT / "src") -> Result:
    """Fuzz until libFuzzer stops: at a finding, or at what `options` say. `corpus`: the first folder is written to."""
    for folder in (findings, corpus[0]):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(findings.iterdir())
    command = [
        *(sys.executable, "-m", "fuzz.child", target),
        *(f"-max_len={MOST_BYTES}", f"-dict={ROOT / 'fuzz' / 'tokens.dict'}", f"-timeout={ONE_RUN_S}"),
        *(f"-artifact_prefix={findings}/{target}-", "-print_final_stats=1", "-rss_limit_mb=1024"),
        # By default libFuzzer changes an input five times over, and the second fault hides the first: planted bugs took
        # it five times the runs.
        "-mutate_depth=1",
        *options,
        *(str(folder) for folder in corpus),
    ]
    began = time.monotonic()
    done = subprocess.run(
        command, cwd=ROOT, env=environment(source), check=False, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    said = done.stderr.decode("utf-8", "replace")
    new = [path for path in findings.iterdir() if path not in before and "-slow-unit-" not in path.name]
    status = _STATUS.findall(said) or [("0", "0", "0", "0")]
    units = _UNITS.findall(said) or [status[-1][0]]
    reason = _REASON.search(said)
    if done.returncode and not new:
        raise RuntimeError(f"fuzz: {target} ended with status {done.returncode} and no finding:\n{said[-3000:]}")
    _, coverage, features, size = map(int, status[-1])
    return Result(
        target,
        int(units[-1]),
        time.monotonic() - began,
        coverage,
        features,
        size,
        new[0] if new else None,
        reason[1][:300] if reason else "libFuzzer stopped: time or memory" if new else "",
    )
