"""`gunicorn.app`: only the name, for `gunicorn.app.base` and its like (compat/application.py, wsgiapp.py, paste.py).

Rules for editing: it stays empty, as Gunicorn's is.
"""
