"""`gunicorn.workers.gtornado`. See base.py."""

from ostler.compat.workers.base import Worker


class TornadoWorker(Worker):
    """A tornado application, on its IOLoop."""

    __module__ = "gunicorn.workers.gtornado"
    _kind = "tornado"
    _unheard = ("handle_request", "watchdog", "heartbeat", "handle_error")
