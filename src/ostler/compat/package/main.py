"""`python -m gunicorn`, and the scripts of the distribution that stands in for Gunicorn (packaging/gunicorn-shim).

Rules for editing: what is not built is refused by name, with what there is instead.
"""

import sys

from ostler.compat.wsgiapp import run


def gunicornc() -> int:
    """Gunicorn's console for a server that runs: a status for its script."""
    instead = "use `ostler reload`, `ostler upgrade`, or signals"
    sys.stderr.write(f"Error: gunicornc is not built yet in this version of Ostler; {instead}\n")
    return 1


if __name__ == "__main__":
    run()
