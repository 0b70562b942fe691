"""`gunicorn.workers.gthread`. See base.py."""

from concurrent import futures
from typing import Any

from ostler.compat.workers.base import Worker
from ostler.compat.workers.calls import Call


class ThreadWorker(Worker):
    """`threads` requests at a time."""

    __module__ = "gunicorn.workers.gthread"
    _kind = "gthread"
    _unheard = (
        "set_accept_enabled", "enqueue_req", "accept", "on_client_socket_readable", "on_pending_socket_readable",
        "murder_keepalived", "murder_pending", "is_parent_alive", "wait_for_and_dispatch_events", "finish_request",
        "handle", "handle_error",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.worker_connections = self.cfg.worker_connections
        self.max_keepalived = self.cfg.worker_connections - self.cfg.threads
        self.tpool: Any = None

    def init_process(self) -> None:
        """Boot, and serve; with threads of a pool of one's own, if there is one."""
        if type(self).get_thread_pool is not ThreadWorker.get_thread_pool:
            self.tpool = self.get_thread_pool()
        super().init_process()

    def get_thread_pool(self) -> futures.ThreadPoolExecutor:
        """A pool as Gunicorn's would be. One that is overridden has the threads that call the application; otherwise
        these are the server's own.
        """
        return futures.ThreadPoolExecutor(max_workers=self.cfg.threads)

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Call the application. One that is overridden is called around it, for each request."""
        Call.of(conn).serve()
        return True
