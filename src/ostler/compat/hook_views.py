"""What hooks are called with: `GunicornViews` makes objects shaped as Gunicorn's of the facts from `observe/hooks.py`.

Names and value shapes are Gunicorn's (server.WORKERS is a dict of workers by pid, cfg.bind a list of strings), so that
hooks written for it run unchanged. Hooks may store attributes of their own on these objects, and find them again.

Rules for editing: see look_alike.py. One object per server, worker and settings, for as long as any of them is alive.
"""

import logging
import os
from collections.abc import Mapping
from types import MappingProxyType

from ostler.compat.attributes import Problems, pack, unpack
from ostler.compat.cfg import Config
from ostler.compat.exchange_views import RequestView, ResponseView
from ostler.compat.logger_access import LoggerAccess, make_logger
from ostler.compat.logger_class import logger_class_of
from ostler.compat.server_view import ServerView
from ostler.compat.worker_view import KINDS, WorkerView, stored_on
from ostler.config.settings import Settings
from ostler.lifecycle import Observer
from ostler.logline import fields
from ostler.observe.hooks import MasterFacts, RequestFacts, ResponseFacts, WorkerFacts
from ostler.observe.logs import Logs
from ostler.observe.records import ERROR_LOGGER
from ostler.process.messages import LIMIT_ATTRIBUTES
from ostler.process.reexec import StartContext, start_context


class GunicornViews:
    """The HookArguments of a drop-in: made once, before the first fork."""

    def __init__(self, environ: Mapping[str, str] | None = None, context: StartContext | None = None) -> None:
        """environ and context: as they were when the process started; as they are now when not given."""
        self._environ = dict(os.environ if environ is None else environ)
        start = context or start_context(self._environ)
        self._start = MappingProxyType({0: start.program, "args": list(start.argv), "cwd": start.directory})
        self._master: MasterFacts | None = None
        self._server: ServerView | None = None
        self._workers: dict[int, WorkerView] = {}  # by age
        self._facts: dict[int, WorkerFacts] = {}
        self._configs: list[tuple[Settings, Config]] = []
        self._loggers: list[tuple[object, Logs]] = []
        self._told: set[str] = set()

    def open_logger(self, settings: Settings, logs: Logs) -> object:
        config = Config.of(settings, logs, self._environ)
        made = make_logger(logger_class_of(settings), config)
        self._configs.append((settings, config))
        self._loggers.append((made, logs))
        return made

    def access_observer(self, log: object) -> Observer | None:
        return LoggerAccess(log) if LoggerAccess.wanted(log) else None

    def introduce(self, master: MasterFacts) -> None:
        self._master = master
        self._server = ServerView(master, self.worker, self.config, self._start)

    def server(self) -> ServerView:
        if self._server is None:
            raise RuntimeError("a hook was to be called before the master introduced itself")
        return self._server

    def worker(self, facts: WorkerFacts) -> WorkerView:
        view = self._workers.get(facts.age)
        if view is None:
            view = self._workers[facts.age] = KINDS[facts.settings.worker_class](facts, self.config)
        self._facts[facts.age] = facts
        view.see(facts)  # a child describes itself anew, on the object that pre_fork has seen
        return view

    def attributes(self, facts: WorkerFacts) -> str:
        text, problems = pack(stored_on(self.worker(facts)), LIMIT_ATTRIBUTES)
        self._tell("an attribute that a hook has stored on worker does not reach a preloaded worker", problems)
        return text

    def arrive(self, facts: WorkerFacts, attributes: str) -> None:
        if self._master is not None:
            self._master.settings = facts.settings
            self._master.listeners = tuple(facts.listeners)
            self._master.log = facts.log
            self._master.worker_age = facts.age
            self._master.workers = {}
        found, problems = unpack(attributes)
        vars(self.worker(facts)).update(found)
        self._tell("an attribute that a hook has stored on worker did not reach a preloaded worker", problems)

    def _tell(self, text: str, problems: Problems) -> None:
        for name, reason in problems.items():
            if name not in self._told:
                self._told.add(name)
                cure = "store it in post_fork"
                logging.getLogger(ERROR_LOGGER).warning("%s", fields(text, name=name, reason=reason, cure=cure))

    def forget(self, facts: WorkerFacts) -> None:
        self._workers.pop(facts.age, None)
        self._facts.pop(facts.age, None)
        self._prune()

    def config(self, settings: Settings, log: object) -> Config:
        # by identity: settings hold dicts, and equal ones of two generations may hold different hooks
        for known, config in self._configs:
            if known is settings:
                return config
        logs = next((logs for made, logs in self._loggers if made is log), None)
        made = Config.of(settings, logs, self._environ)
        self._configs.append((settings, made))
        return made

    def request(self, facts: RequestFacts) -> RequestView:
        return RequestView(facts)

    def response(self, facts: ResponseFacts) -> ResponseView:
        return ResponseView(facts)

    def _prune(self) -> None:
        """Let go of what belonged to generations that are gone."""
        if self._master is None:
            return
        living: list[MasterFacts | WorkerFacts] = [self._master, *self._master.workers.values(), *self._facts.values()]
        settings, logs = {id(each.settings) for each in living}, {id(each.log) for each in living}
        self._configs = [pair for pair in self._configs if id(pair[0]) in settings]
        self._loggers = [pair for pair in self._loggers if id(pair[0]) in logs]
