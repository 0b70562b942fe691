"""`gunicorn.workers.sync`. See base.py."""

from typing import Any

from ostler.compat.workers.base import Worker
from ostler.compat.workers.calls import Call


class SyncWorker(Worker):
    """One request at a time, on the main thread."""

    __module__ = "gunicorn.workers.sync"
    _kind = "sync"
    _unheard = ("accept", "wait", "is_parent_alive", "run_for_one", "run_for_multiple", "handle", "handle_error")

    def handle_request(self, listener: Any, req: Any, client: Any, addr: Any) -> None:
        """Call the application. One that is overridden is called around it, for each request."""
        Call.of(client).serve()
