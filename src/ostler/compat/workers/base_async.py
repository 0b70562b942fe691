"""`gunicorn.workers.base_async`. See base.py.

Rules for editing: ALREADY_HANDLED is one object for the whole process; applications return it.
"""

from typing import Any

from ostler.app.wsgi import ALREADY_HANDLED
from ostler.compat.workers.base import Worker
from ostler.compat.workers.calls import Call

__all__ = ["ALREADY_HANDLED", "AsyncWorker"]


class AsyncWorker(Worker):
    """What the kinds with greenlets have in common."""

    _unheard = ("handle", "handle_error", "timeout_ctx")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.worker_connections = self.cfg.worker_connections

    def timeout_ctx(self) -> Any:
        """Keep-alive is the server's affair."""
        raise NotImplementedError

    def is_already_handled(self, respiter: object) -> bool:
        """Whether the application has taken the connection, and answered by itself."""
        return respiter is ALREADY_HANDLED

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> bool:
        """Call the application. One that is overridden is called around it, for each request."""
        Call.of(sock).serve()
        return True
