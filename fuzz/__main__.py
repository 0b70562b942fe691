"""`make fuzz`: first proves that the fuzzer finds what is planted for it, then fuzzes every target. Needs atheris.

    make fuzz                      the proof, then 60 seconds for each target
    make fuzz SECONDS=600          longer
    make fuzz ARGS="--no-proof --targets requests responses"
    make fuzz ARGS="--only-proof"

Status 1: a planted bug was not found, or there is a finding. What a run learns stays in fuzz/learnt/, for the next one.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from fuzz import planted, targets
from fuzz.corpus import ROOT
from fuzz.running import FINDINGS, Result, fuzz, why_not, write_seeds


def prove(text: str) -> bool:
    """Look for each planted bug with the text in its name; whether all were found."""
    proofs = []
    for bug in planted.bugs():
        if text not in bug.name:
            continue
        with tempfile.TemporaryDirectory(prefix="ostler-fuzz-") as folder:
            proofs.append(planted.look_for(bug, Path(folder)))
            print(planted.table(proofs).splitlines()[-1], flush=True)
    found = sum(proof.result.finding is not None for proof in proofs)
    print(f"\n{planted.table(proofs)}\n\n{found} of {len(proofs)} planted bugs were found\n", flush=True)
    return found == len(proofs)


def explore(names: list[str], seconds: int) -> list[Result]:
    """Fuzz each target for that long, or until it has a finding."""
    results = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="ostler-fuzz-") as folder:
            seeds = Path(folder) / "seeds"
            write_seeds(name, seeds)
            result = fuzz(
                name,
                [f"-max_total_time={seconds}", f"-seed={time.time_ns() % 2**31 + 1}"],
                corpus=[ROOT / "fuzz" / "learnt" / name, seeds],
                findings=FINDINGS,
            )
        results.append(result)
        print(line(result), flush=True)
    return results


def line(result: Result) -> str:
    """One result, for people and logs."""
    text = (
        f"{time.strftime('%H:%M:%S')} fuzzed target={result.target} runs={result.runs} seconds={result.seconds:.0f} "
        f"runs_per_s={result.runs / max(result.seconds, 1):.0f} coverage={result.coverage} features={result.features} "
        f"corpus={result.corpus} findings={int(result.finding is not None)}"
    )
    if result.finding is not None:
        text += f"\n  {result.reason}\n  replay it: python -m fuzz.replay {result.finding}"
    return text


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--targets", nargs="+", default=list(targets.NAMES), choices=targets.NAMES)
    proof = parser.add_mutually_exclusive_group()
    proof.add_argument("--only-proof", action="store_true", help="look for the planted bugs only")
    proof.add_argument("--no-proof", action="store_true", help="do not look for the planted bugs")
    parser.add_argument("--bugs", default="", metavar="TEXT", help="look only for planted bugs with this in their name")
    parser.add_argument("--rounds", type=int, default=1, help="how often to go through the targets")
    arguments = parser.parse_args()
    reason = why_not()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 1
    good = arguments.no_proof or prove(arguments.bugs)
    if not arguments.only_proof:
        for _ in range(arguments.rounds):
            good &= all(result.finding is None for result in explore(arguments.targets, arguments.seconds))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
