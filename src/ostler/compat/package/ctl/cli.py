"""`gunicorn.ctl.cli`: the script `gunicornc`. See ostler/control/console.py."""

import sys

from ostler import __version__
from ostler.control.console import run


def main() -> int:
    """For the script."""
    return run("gunicornc", sys.argv[1:], __version__)


if __name__ == "__main__":
    sys.exit(main())
