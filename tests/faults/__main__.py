"""`make faults`: every scenario under every condition, for Ostler and its peers; prints one table.

make faults ARGS="--scenario reload,term --server ostler,gunicorn --condition sync,unix --count 10"

Exit status 1: Ostler did not keep its promises. Peers' results have no influence.
"""

import argparse
import sys

from tests.faults.conditions import KINDS
from tests.faults.matrix import CONTESTANTS, conditions_like, run, show
from tests.faults.scenarios import SCENARIOS

WORDS = [*KINDS, "tcp", "unix", "direct", "nginx", "preload", "no-preload"]


def chosen(text: str, known: list[str]) -> list[str]:
    """The words of a list with commas. Raises ArgumentTypeError for one that is not known."""
    words = text.split(",")
    for word in words:
        if word not in known:
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}, found {word}")
    return words


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--scenario", type=lambda text: chosen(text, names), default=names, metavar="NAMES")
    parser.add_argument("--server", type=lambda text: chosen(text, list(CONTESTANTS)), default=list(CONTESTANTS))
    parser.add_argument("--condition", type=lambda text: chosen(text, WORDS), default=[], metavar="WORDS")
    parser.add_argument("--count", type=int, help="how often a thing is done at most (50 reloads, 200 recycles, ...)")
    arguments = parser.parse_args()
    conditions = conditions_like(arguments.condition)
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in arguments.scenario]
    rows = run(scenarios, arguments.server, conditions, arguments.count)
    print(show(rows, conditions))
    return 0 if all(row.kept_promises() for row in rows if row.contestant.name == "ostler") else 1


if __name__ == "__main__":
    sys.exit(main())
