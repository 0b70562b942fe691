"""Gunicorn's name for Ostler: from the first import on, `gunicorn` and what is below it are Ostler's modules.

This file is executed once, to put the finder in place; what is imported is ostler/compat/package.
"""

from ostler.compat import finder

finder.install()
