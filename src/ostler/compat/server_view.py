"""server, as the hooks get it: shaped as Gunicorn's Arbiter. See look_alike.py for the rules.

Its methods do to the real server what an operator does, by signals: the master hears them when it is back in its loop,
after the hook. They work in a worker's hooks too.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, Final

from ostler.compat.look_alike import LookAlike
from ostler.compat.worker_view import KINDS, ApplicationView, CfgOf, ListenerView, WorkerView
from ostler.observe.hooks import MasterFacts, WorkerFacts

_kill = os.kill
_getpid = os.getpid
_getppid = os.getppid

_HANDLERS: Final = ("hup", "term", "int", "quit", "ttin", "ttou", "usr1", "usr2", "winch")
_LOOP: Final = "the supervisor alone starts and ends workers; num_workers is changed by TTIN, TTOU or a reload"


class ServerView(LookAlike):
    """The Arbiter of server hooks. START_CTX: read only."""

    _called = "server"
    _absent = (
        "run setup start init_signals signal signal_chld handle_chld handle_cld maybe_promote_master SIG_QUEUE SIGNALS"
        " SIG_NAMES WAKEUP_REQUEST master_name dirty_arbiter_pid dirty_arbiter wait_for_signals"
    )
    _reasons: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("spawn_worker", "spawn_workers", "manage_workers", "murder_workers", "reap_workers"), _LOOP
    )

    WORKER_BOOT_ERROR: ClassVar = 3
    APP_LOAD_ERROR: ClassVar = 4

    def __init__(
        self,
        facts: MasterFacts,
        worker_of: Callable[[WorkerFacts], WorkerView],
        cfg_of: CfgOf,
        start: Mapping[Any, Any],
    ) -> None:
        self._facts = facts
        self._worker_of = worker_of
        self._cfg_of = cfg_of
        self.START_CTX = start

    @property
    def log(self) -> Any:
        return self._facts.log

    @property
    def pid(self) -> int:
        return self._facts.pid

    @property
    def cfg(self) -> Any:
        return self._cfg_of(self._facts.settings, self._facts.log)

    @property
    def app(self) -> ApplicationView:
        return ApplicationView(self._facts.settings, self.cfg, None)

    @property
    def address(self) -> Any:
        return self.cfg.address

    @property
    def timeout(self) -> int:
        return self._facts.settings.timeout

    @property
    def proc_name(self) -> str:
        return self._facts.settings.proc_name + self._suffix

    @property
    def worker_class(self) -> type:
        return KINDS[self._facts.settings.worker_class]

    @property
    def worker_age(self) -> int:
        return self._facts.worker_age

    @property
    def master_pid(self) -> int:
        """Of the old master while it lives, else 0."""
        return self._facts.old_master_pid

    @property
    def reexec_pid(self) -> int:
        """Of the new master while it lives, else 0."""
        return self._facts.new_master_pid

    @property
    def pidfile(self) -> Any:
        path = self._facts.settings.pidfile
        return None if path is None else SimpleNamespace(fname=path + self._suffix, pid=self._facts.pid)

    @property
    def systemd(self) -> bool:
        origins = [getattr(listener, "origin", None) for listener in self._facts.listeners]
        return any(getattr(origin, "activated", False) for origin in origins)

    @property
    def num_workers(self) -> int:
        return self._facts.num_workers

    @property
    def WORKERS(self) -> dict[int, WorkerView]:
        return {pid: self._worker_of(worker) for pid, worker in self._facts.workers.items()}

    @property
    def LISTENERS(self) -> list[ListenerView]:
        return [ListenerView(listener, self.cfg) for listener in self._facts.listeners]

    @property
    def _suffix(self) -> str:
        return ".2" if self._facts.old_master_pid else ""

    # -- what a hook may ask the server to do --------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        word = name.removeprefix("handle_")
        if word != name and word in _HANDLERS:
            return lambda: self._send(getattr(signal, f"SIG{word.upper()}"))
        raise AttributeError(self._problem(name), name=name, obj=self)

    def kill_worker(self, pid: int, sig: int) -> None:
        """In the master: send `sig` to one of its workers. Nothing happens when it is gone."""
        if _getpid() != self._facts.pid:
            raise RuntimeError("server.kill_worker: only the master knows who lives; call it in one of its hooks")
        if pid in self._facts.workers:
            with contextlib.suppress(ProcessLookupError):
                _kill(pid, sig)

    def kill_workers(self, sig: int) -> None:
        """In the master."""
        for pid in list(self._facts.workers) or [0]:
            self.kill_worker(pid, sig)

    def reload(self) -> None:
        self._send(signal.SIGHUP)

    def reexec(self) -> None:
        self._send(signal.SIGUSR2)

    def stop(self, graceful: bool = True) -> None:
        self._send(signal.SIGTERM if graceful else signal.SIGQUIT)

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Stops gracefully. A status of one's own cannot be had: the log says so."""
        if reason is not None:
            self.log.error("a hook halts the server: %s", reason)
        if exit_status != 0:
            text = "a hook asked for exit status %s, which is not built: a server that is told to stop ends with 0"
            self.log.warning(text, exit_status)
        self.stop()

    def wakeup(self) -> None:
        """Nothing is left to do: the master wakes for whatever happens."""

    def _send(self, number: int) -> None:
        if self._facts.pid not in (_getpid(), _getppid()):
            raise RuntimeError(f"server: the master {self._facts.pid} is gone")
        _kill(self._facts.pid, number)
