"""`python -m ostler` is the `ostler` command."""

import sys

from ostler.cli import main

if __name__ == "__main__":
    sys.exit(main())
