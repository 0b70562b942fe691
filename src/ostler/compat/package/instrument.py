"""`gunicorn.instrument`: only the name, for `gunicorn.instrument.statsd` (compat/statsd.py).

Rules for editing: it stays empty, as Gunicorn's is.
"""
