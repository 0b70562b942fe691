"""What hooks are called with: `GunicornViews` makes objects shaped as Gunicorn's of the facts from `observe/hooks.py`.

Names and value shapes are Gunicorn's (server.WORKERS is a dict of workers by pid, cfg.bind a list of strings), so that
hooks written for it run unchanged. Hooks may store attributes of their own on these objects, and find them again.

Rules for editing: see look_alike.py. One object per server, worker and settings, for as long as any of them is alive.
"""

import logging
import os
from collections.abc import Callable, Mapping
from types import MappingProxyType

from ostler.compat.attributes import Problems, pack, unpack
from ostler.compat.cfg import Config
from ostler.compat.exchange_views import RequestView, ResponseView
from ostler.compat.logger_access import LoggerAccess, make_logger
from ostler.compat.logger_class import logger_class_of
from ostler.compat.server_view import ServerView
from ostler.compat.worker_class import OwnWorker, import_class, known_class, prepares, set_up
from ostler.compat.workers.base import Worker, see, stored_on
from ostler.config.settings import Settings
from ostler.lifecycle import Observer
from ostler.logline import fields
from ostler.observe.hooks import MasterFacts, Orders, RequestFacts, ResponseFacts, WorkerFacts
from ostler.observe.logs import Logs
from ostler.observe.records import ERROR_LOGGER
from ostler.process.messages import LIMIT_ATTRIBUTES
from ostler.process.reexec import StartContext, start_context
from ostler.workers.foreign import Engine


class GunicornViews:
    """The HookArguments of a drop-in: made once, before the first fork."""

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        context: StartContext | None = None,
        server: ServerView | None = None,
        app: object = None,
    ) -> None:
        """environ and context: as they were when the process started; as they are now when not given.

        server: what is shown as such; app: of a program that embeds the server.
        """
        self._environ = dict(os.environ if environ is None else environ)
        start = context or start_context(self._environ)
        self._start = MappingProxyType({0: start.program, "args": list(start.argv), "cwd": start.directory})
        self._app = app
        self._master: MasterFacts | None = None
        self._server = server
        self._workers: dict[int, Worker] = {}  # by age
        self._facts: dict[int, WorkerFacts] = {}
        self._configs: list[tuple[Settings, Config]] = []
        self._loggers: list[tuple[object, Logs]] = []
        self._told: set[str] = set()

    def open_logger(self, settings: Settings, logs: Logs) -> object:
        config = Config.of(settings, logs, self._environ, self._app)
        made = make_logger(logger_class_of(settings), config)
        self._configs.append((settings, config))
        self._loggers.append((made, logs))
        return made

    def access_observer(self, log: object) -> Observer | None:
        return LoggerAccess(log) if LoggerAccess.wanted(log) else None

    def introduce(self, master: MasterFacts) -> None:
        self._master = master
        self._server = self._server or ServerView(self._start)
        self._server.show(master, self.worker, self.config)

    def server(self) -> ServerView:
        if self._server is None or self._master is None:
            raise RuntimeError("a hook was to be called before the master introduced itself")
        return self._server

    def take_orders(self, orders: Orders) -> None:
        self.server().take_orders(orders)

    def own(self, method: str) -> Callable[[], object] | None:
        return self.server().own(method)

    def worker(self, facts: WorkerFacts) -> Worker:
        view = self._workers.get(facts.age)
        if view is None:
            known = known_class(facts.settings)
            kind = known if issubclass(known, Worker) else Worker
            view = self._workers[facts.age] = kind.of_facts(facts, self.config)
        self._facts[facts.age] = facts
        see(view, facts)  # a child describes itself anew, on the object that pre_fork has seen
        return view

    def prepare_worker_class(self, settings: Settings) -> str:
        return prepares(import_class(settings))

    def make_worker(self, facts: WorkerFacts, engine: Engine) -> OwnWorker:
        found = import_class(facts.settings)
        set_up(found, self.config(facts.settings, facts.log), facts.log)
        view = self._workers.get(facts.age)
        made = OwnWorker(found, facts, self.config, engine)
        if view is not None:
            vars(made.worker).update(stored_on(view))
        self._workers[facts.age] = made.worker
        self._facts[facts.age] = facts
        return made

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
        made = Config.of(settings, logs, self._environ, self._app)
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
