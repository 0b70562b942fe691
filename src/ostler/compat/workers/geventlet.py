"""`gunicorn.workers.geventlet`, which Gunicorn had until its version 26. See base.py."""

from ostler.compat.workers.base_async import AsyncWorker


class EventletWorker(AsyncWorker):
    """A greenlet of eventlet's for each request."""

    __module__ = "gunicorn.workers.geventlet"
    _kind = "eventlet"

    def patch(self) -> None:
        """Monkey patching, before the application is imported."""
        self._engine("patch").prepare()

    def init_process(self) -> None:
        """Patch, and boot."""
        self.patch()
        super().init_process()
