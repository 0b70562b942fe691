"""`gunicorn.workers`: the names of the kinds, and what class each one is.

    base.py           Worker, the one home of what hooks and classes of a user's own know as a worker
    sync.py gthread.py ggevent.py geventlet.py gtornado.py gasgi.py base_async.py    Gunicorn's classes, to derive from

Rules for editing: importing one of these modules imports no library that a kind needs; the master has them all.
"""

import importlib
from typing import Any, Final

SUPPORTED_WORKERS: Final = {
    "sync": "gunicorn.workers.sync.SyncWorker",
    "gevent": "gunicorn.workers.ggevent.GeventWorker",
    "gevent_wsgi": "gunicorn.workers.ggevent.GeventPyWSGIWorker",
    "gevent_pywsgi": "gunicorn.workers.ggevent.GeventPyWSGIWorker",
    "tornado": "gunicorn.workers.gtornado.TornadoWorker",
    "gthread": "gunicorn.workers.gthread.ThreadWorker",
    "asgi": "gunicorn.workers.gasgi.ASGIWorker",
    "eventlet": "gunicorn.workers.geventlet.EventletWorker",
}


def class_of_kind(kind: str) -> Any:
    """The class that Gunicorn's worker of that kind has. Raises KeyError for no kind."""
    module, _, name = SUPPORTED_WORKERS[kind].rpartition(".")
    return getattr(importlib.import_module(f"{__name__}.{module.rpartition('.')[2]}"), name)
