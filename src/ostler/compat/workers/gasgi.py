"""`gunicorn.workers.gasgi`. See base.py."""

from typing import Any

from ostler.compat.workers.base import Worker


class ASGIWorker(Worker):
    """An ASGI application, on an event loop."""

    __module__ = "gunicorn.workers.gasgi"
    _kind = "asgi"
    _unheard = ("handle_error",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.worker_connections = self.cfg.worker_connections
        self.state: dict[str, Any] = {}

    def load_wsgi(self) -> None:
        """Raises AppLoadError, AppBootError."""
        self.asgi = self.app.wsgi()

    def _application(self) -> Any:
        return self.asgi
