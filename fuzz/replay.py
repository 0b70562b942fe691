"""`python -m fuzz.replay FILE [...]`: an input of the fuzzer in words, and what becomes of it. Needs no atheris.

The target is the first word of the file's name, as in findings/requests-crash-0123abcd. Status 1: a check fails.
"""

import argparse
import sys
import traceback
from pathlib import Path

from fuzz import targets


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.replay")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--target", choices=targets.NAMES, help="for a file whose name does not tell")
    arguments = parser.parse_args()
    failed = False
    for path in arguments.files:
        name = arguments.target or path.name.partition("-")[0]
        if name not in targets.NAMES:
            parser.error(f"{path}: expected a name that begins with one of {', '.join(targets.NAMES)}, or --target")
        target = targets.load(name)
        data = path.read_bytes()
        print(f"{path}\ntarget: {name}\n{target.describe(data)}")
        try:
            target.check(data)
        except Exception:  # noqa: BLE001  the report is what this is for
            failed = True
            traceback.print_exc(file=sys.stdout)
        else:
            print("nothing fails")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
