"""What hangs on a worker (compat/workers/base.py): its sockets, app and tmp. See look_alike.py for the rules."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ostler.compat.look_alike import LookAlike
from ostler.compat.shapes import bound_address
from ostler.config.settings import Settings
from ostler.observe.hooks import ListenerFacts

CfgOf = Callable[[Settings, object], Any]
"""From settings and their log to the cfg that shows them; the same one each time."""


class ListenerView:
    """A listening socket: str() is its URL, everything else is the socket's.

    It goes straight into create_server(sock=) of asyncio and uvloop, and aiohttp's SockSite.
    """

    def __init__(self, facts: ListenerFacts, cfg: Any, closing: Callable[[], object] | None = None) -> None:
        """closing: is called when a worker with a loop of its own closes it."""
        self.sock = facts.socket
        self.conf = cfg
        self.FAMILY = facts.socket.family
        self.cfg_addr = bound_address(facts.address)
        self._name = facts.name
        self._closing = closing

    def __str__(self) -> str:
        return self._name

    def close(self) -> None:
        """In this process; the others listen on."""
        if self._closing is not None:
            self._closing()
        self.sock.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


class ApplicationView(LookAlike):
    """server.app and worker.app."""

    _called = "app"
    _absent = "usage prog logger load reload run init load_config do_load_config load_default_config chdir"

    def __init__(
        self, settings: Settings, cfg: Any, application: object, load: Callable[[], object] | None = None
    ) -> None:
        """load: in a worker whose class loads it when it sees fit."""
        self.cfg = cfg
        self.app_uri = settings.wsgi_app
        self.callable = application
        self._load = load
        self._embedded = cfg.ostler_app

    def __getattr__(self, name: str) -> Any:
        """What a program that embeds the server has put on its own object."""
        if name != "_embedded" and self._embedded is not None:
            return getattr(self._embedded, name)
        return super().__getattr__(name)

    def wsgi(self) -> Any:
        """Raises RuntimeError where it is not loaded; AppLoadError or AppBootError where that fails now."""
        if self.callable is None and self._load is not None:
            self.callable = self._load()
        if self.callable is None:
            cure = "ask for it in a worker, from post_worker_init on"
            raise RuntimeError(f"app.wsgi: the application is loaded in the workers only, never in the master; {cure}")
        return self.callable


class HeartView(LookAlike):
    """worker.tmp: Gunicorn's workers show that they live by touching a file, ours in shared memory."""

    _called = "worker.tmp"
    _reasons: ClassVar[Mapping[str, str]] = {"fileno": "a worker's heart beats in shared memory, there is no file"}

    def __init__(self, worker: Any) -> None:
        """worker: the one whose it is."""
        self._worker = worker

    def notify(self) -> None:
        """I live. (Not by worker.notify, which may be overridden by what calls this.)"""
        self._worker._beat()

    def last_update(self) -> float:
        """Seconds, of time.monotonic()."""
        return self._worker.last_beat  # type: ignore[no-any-return]

    def close(self) -> None:
        """Nothing is open."""
