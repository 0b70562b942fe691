"""`python -m gunicorn`, and the scripts of the distribution that stands in for Gunicorn (packaging/gunicorn-shim).

Rules for editing: a name that a script has is a promise.
"""

from ostler.compat.package.ctl.cli import main
from ostler.compat.wsgiapp import run

gunicornc = main
"""Of images that were built with an earlier version."""

if __name__ == "__main__":
    run()
