"""server, as hooks get it: shaped as Gunicorn's Arbiter. See look_alike.py for the rules.

Its methods do to the real server what an operator does, or tell the supervisor what is wanted; they end or fork nothing
themselves. A class of one's own (arbiter.py) may override those that Gunicorn's loop calls: manage_workers,
murder_workers, reap_workers about once a second and after deaths, start and init_signals before the first worker,
handle_* and what these call in place of what the master does at a signal (roles/arbitration.py).

Rules for editing: as Gunicorn's, methods call each other, so that one which is overridden is heard of.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, NoReturn

from ostler.compat.look_alike import LookAlike
from ostler.compat.worker_view import ApplicationView, CfgOf, ListenerView
from ostler.compat.workers.base import Worker
from ostler.observe.hooks import MasterFacts, Orders, WorkerFacts

_kill = os.kill
_getpid = os.getpid
_getppid = os.getppid


class ServerView(LookAlike):
    """The Arbiter of server hooks. START_CTX: read only."""

    _called = "server"
    _absent = (
        "signal signal_chld handle_chld handle_cld maybe_promote_master SIG_QUEUE WAKEUP_REQUEST master_name"
        " dirty_arbiter_pid dirty_arbiter spawn_dirty_arbiter manage_dirty_arbiter wait_for_signals"
    )

    WORKER_BOOT_ERROR: ClassVar = 3
    APP_LOAD_ERROR: ClassVar = 4
    SIGNALS: ClassVar = [
        *(signal.SIGHUP, signal.SIGQUIT, signal.SIGINT, signal.SIGTERM, signal.SIGTTIN, signal.SIGTTOU),
        *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH),
    ]
    SIG_NAMES: ClassVar = {
        getattr(signal, name): name[3:].lower() for name in dir(signal) if name[:3] == "SIG" and name[3] != "_"
    }

    def __init__(self, start: Mapping[Any, Any]) -> None:
        """start: program (0), args and cwd of the start."""
        self._worker_of: Callable[[WorkerFacts], Worker] = _no_worker
        self._orders: Orders | None = None
        self._log: Any = None
        self._stops = False
        self.START_CTX = start

    def show(self, facts: MasterFacts, worker_of: Callable[[WorkerFacts], Worker] | None, cfg_of: CfgOf) -> None:
        """From now on it is this server that is seen here. worker_of: None while there are no workers."""
        self._facts = facts
        self._worker_of = worker_of or _no_worker
        self._cfg_of = cfg_of

    def take_orders(self, orders: Orders) -> None:
        self._orders = orders

    def own(self, method: str) -> Callable[[], object] | None:
        """A method that somebody has overridden."""
        if getattr(type(self), method) is getattr(ServerView, method) and method not in vars(self):
            return None
        found: Callable[[], object] = getattr(self, method)
        return found

    # -- what it shows -----------------------------------------------------------------------------------------

    @property
    def log(self) -> Any:
        if self._facts.log is not None:
            return self._facts.log
        if self._log is None:  # of a server that does not run yet
            self._log = self.cfg.logger_class(self.cfg)
        return self._log

    @property
    def pid(self) -> int:
        return self._facts.pid

    @property
    def cfg(self) -> Any:
        return self._cfg_of(self._facts.settings, self._facts.log)

    @property
    def app(self) -> Any:
        return self.cfg.ostler_app or ApplicationView(self._facts.settings, self.cfg, None)

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
        found: type = self.cfg.worker_class
        return found

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
        """The goal. In the master it may be set, as TTIN and TTOU do it."""
        return self._facts.num_workers

    @num_workers.setter
    def num_workers(self, value: int) -> None:
        if (orders := self._in_master("num_workers")) is not None:
            orders.change_goal(value - self._facts.num_workers)

    @property
    def WORKERS(self) -> dict[int, Worker]:
        return {pid: self._worker_of(worker) for pid, worker in self._facts.workers.items()}

    @property
    def LISTENERS(self) -> list[ListenerView]:
        return [ListenerView(listener, self.cfg) for listener in self._facts.listeners]

    @property
    def _suffix(self) -> str:
        return ".2" if self._facts.old_master_pid else ""

    # -- workers ------------------------------------------------------------------------------------------------

    def manage_workers(self) -> None:
        """In the master: the goal holds again; for workers of `spawn_worker`, as many of the oldest go."""
        if (orders := self._in_master("manage_workers")) is not None:
            orders.end_extras()

    def spawn_worker(self) -> int | None:
        """In the master: one worker more than the goal, for now. Its pid, or None while a mold forks it."""
        orders = self._in_master("spawn_worker")
        return None if orders is None else orders.spawn()

    def spawn_workers(self) -> None:
        """Nothing is left to do: who is missing is started at once."""

    def murder_workers(self) -> None:
        """Nothing is left to do: workers that hang are found by the supervisor."""

    def reap_workers(self) -> None:
        """Nothing is left to do: the dead are buried by the master's loop."""

    def kill_worker(self, pid: int, sig: int) -> None:
        """In the master: have one of its workers replaced (TERM), or send it another signal; unless it is gone."""
        orders = self._in_master("kill_worker")
        if pid not in self._facts.workers:
            return
        if orders is not None and sig == signal.SIGTERM:
            orders.send_away(pid)
            return
        with contextlib.suppress(ProcessLookupError):
            _kill(pid, sig)

    def kill_workers(self, sig: int) -> None:
        """In the master."""
        self._in_master("kill_workers")
        for pid in list(self._facts.workers):
            self.kill_worker(pid, sig)

    def _in_master(self, method: str) -> Orders | None:
        """Who takes orders. None: the master's loop does not run yet. Raises RuntimeError elsewhere."""
        if _getpid() != self._facts.pid:
            raise RuntimeError(f"server.{method}: only the master knows who lives; call it in one of its hooks")
        return self._orders

    # -- the server ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Nothing is left to do: it listens already."""

    def init_signals(self) -> None:
        """Nothing is left to do: signals are heard already."""

    def handle_hup(self) -> None:
        self.reload()

    def handle_usr2(self) -> None:
        self.reexec()

    def handle_term(self) -> None:
        self.halt()

    def handle_int(self) -> None:
        self.stop(graceful=False)
        self.halt()

    def handle_quit(self) -> None:
        self.stop(graceful=False)
        self.halt()

    def handle_ttin(self) -> None:
        self._do(signal.SIGTTIN)

    def handle_ttou(self) -> None:
        self._do(signal.SIGTTOU)

    def handle_usr1(self) -> None:
        self._do(signal.SIGUSR1)

    def handle_winch(self) -> None:
        self._do(signal.SIGWINCH)

    def reload(self) -> None:
        self._do(signal.SIGHUP)

    def reexec(self) -> None:
        self._do(signal.SIGUSR2)

    def stop(self, graceful: bool = True) -> None:
        if not (graceful and self._stops):  # a quick stop is not made a graceful one
            self._stops = True
            self._do(signal.SIGTERM if graceful else signal.SIGQUIT)

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Stop gracefully. A status of one's own is to be had in the master only: else the log says so."""
        if reason is not None:
            self.log.error("a hook halts the server: %s", reason)
        if exit_status != 0 and self._orders is not None and _getpid() == self._facts.pid:
            self._orders.end_with(exit_status)
        elif exit_status != 0:
            text = "a hook asked for exit status %s, which only the master's can have: the server ends with 0"
            self.log.warning(text, exit_status)
        self.stop()

    def wakeup(self) -> None:
        """Nothing is left to do: the master wakes for whatever happens."""

    def _do(self, number: int) -> None:
        """Within an answer to a signal at once; else the master hears it when it is back in its loop."""
        if self._facts.pid not in (_getpid(), _getppid()):
            raise RuntimeError(f"server: the master {self._facts.pid} is gone")
        if self._orders is None or _getpid() != self._facts.pid or not self._orders.do_signal(number):
            _kill(self._facts.pid, number)


def _no_worker(_facts: WorkerFacts) -> NoReturn:
    raise RuntimeError("there are no workers before the server runs")
