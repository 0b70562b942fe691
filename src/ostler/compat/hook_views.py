"""What hooks are called with: objects shaped as Gunicorn's Arbiter, Worker, Request and Response.

Each is a view of facts from `observe/hooks.py`. Names and value shapes are Gunicorn's (server.WORKERS is a dict of
workers by pid, cfg.bind a list of strings), so that hooks written for it run unchanged. Hooks may store attributes
of their own on these objects.

Rules for editing: nothing here makes a value up. What Gunicorn has and Ostler has not raises an AttributeError
that says so (`_absent`), and what cannot be changed from here has no setter, so that a hook that tries is told.
"""

import logging
from typing import Any, ClassVar, NoReturn

from ostler.config.address import Address, UnixAddress
from ostler.config.settings import Settings
from ostler.observe.hooks import ListenerFacts, MasterFacts, RequestFacts, ResponseFacts, WorkerFacts
from ostler.observe.logs import ERROR_LOGGER


class GunicornViews:
    """The HookArguments of a drop-in: made once, before the first fork."""

    def __init__(self) -> None:
        self._log = LoggerView(logging.getLogger(ERROR_LOGGER))
        self._server: ServerView | None = None
        self._workers: dict[int, WorkerView] = {}  # by age

    def introduce(self, master: MasterFacts) -> None:
        self._server = ServerView(master, self)

    def server(self) -> "ServerView":
        if self._server is None:
            raise RuntimeError("a hook was to be called before the master introduced itself")
        return self._server

    def worker(self, facts: WorkerFacts) -> "WorkerView":
        view = self._workers.get(facts.age)
        if view is None:
            view = self._workers[facts.age] = WorkerView(facts, self._log)
        view.see(facts)  # a child describes itself anew, on the object that pre_fork has seen
        return view

    def forget(self, facts: WorkerFacts) -> None:
        self._workers.pop(facts.age, None)

    def request(self, facts: RequestFacts) -> "RequestView":
        return RequestView(facts)

    def response(self, facts: ResponseFacts) -> "ResponseView":
        return ResponseView(facts)

    @property
    def log(self) -> "LoggerView":
        return self._log


class _LookAlike:
    _called: ClassVar[str]
    _absent: ClassVar[str]  # names that Gunicorn's object has besides, separated by blanks

    def __getattr__(self, name: str) -> NoReturn:
        if name in self._absent.split():
            problem = f"{self._called}.{name} is not built in this version of Ostler, though Gunicorn has it"
        else:
            problem = f"{self._called} has no attribute {name!r}"
        raise AttributeError(problem, name=name, obj=self)


class LoggerView(_LookAlike):
    """Gunicorn's Logger as hooks use it: server.log.info("...", ...)."""

    _called = "log"
    _absent = (
        "access_log access atoms now reopen_files close_on_exec setup cfg lock logfile error_handlers access_handlers"
        " error_fmt access_fmt datefmt syslog_fmt atoms_wrapper_class access_log_enabled LOG_LEVELS"
    )

    def __init__(self, log: logging.Logger) -> None:
        self.error_log = log
        self.debug = log.debug
        self.info = log.info
        self.warning = log.warning
        self.error = log.error
        self.exception = log.exception
        self.critical = log.critical

    @property
    def loglevel(self) -> int:
        return self.error_log.level

    def log(self, lvl: int | str, msg: object, *args: Any, **kwargs: Any) -> None:
        level = logging.getLevelNamesMapping().get(lvl.upper(), logging.INFO) if isinstance(lvl, str) else lvl
        self.error_log.log(level, msg, *args, **kwargs)


class ConfigView(_LookAlike):
    """cfg: settings by attribute, in Gunicorn's shapes."""

    _called = "cfg"
    _absent = (
        "settings set parser get_cmd_args_from_env validate env env_orig uid gid ssl_options worker_class"
        " logger_class sendfile reuse_port forwarded_allow_networks"
    )
    _own: ClassVar[frozenset[str]] = frozenset({"hooks", "origins"})  # of Settings, and no setting

    def __init__(self, settings: Settings) -> None:
        self.__dict__["_settings"] = settings

    def __getattr__(self, name: str) -> Any:
        settings: Settings = self.__dict__["_settings"]
        match name:
            case "bind":
                return [str(address) for address in settings.bind]
            case "address":
                return [_address(address) for address in settings.bind]
            case "pythonpath":
                return ",".join(settings.pythonpath) or None
            case "forwarded_allow_ips":
                return list(settings.forwarded_allow_ips.texts)
            case "forwarder_headers":
                return list(settings.forwarder_headers)
            case "secure_scheme_headers":
                return dict(settings.secure_scheme_headers)
            case "worker_class_str":
                return settings.worker_class
            case "proc_name":
                return settings.wsgi_app  # as Gunicorn's without --name
        if name in self._own or name not in Settings.__slots__:
            super().__getattr__(name)
        return getattr(settings, name)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"cfg.{name} cannot be changed by a hook; set it in the configuration file")


class ListenerView:
    """A listening socket: str() is its URL, everything else is the socket's."""

    def __init__(self, facts: ListenerFacts) -> None:
        self.sock = facts.socket
        self.FAMILY = facts.socket.family
        self.cfg_addr = _address(facts.address)
        self._name = facts.name

    def __str__(self) -> str:
        return self._name

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


class ServerView(_LookAlike):
    """The Arbiter of server hooks."""

    _called = "server"
    _absent = (
        "run app worker_age worker_class master_pid reexec_pid START_CTX systemd pidfile manage_workers spawn_worker"
        " spawn_workers kill_worker kill_workers reload reexec stop halt wakeup murder_workers reap_workers setup"
        " WORKER_BOOT_ERROR APP_LOAD_ERROR"
    )

    def __init__(self, facts: MasterFacts, views: GunicornViews) -> None:
        self._facts = facts
        self._views = views

    @property
    def log(self) -> LoggerView:
        return self._views.log

    @property
    def pid(self) -> int:
        return self._facts.pid

    @property
    def cfg(self) -> ConfigView:
        return ConfigView(self._facts.settings)

    @property
    def address(self) -> list[tuple[str, int] | str]:
        return [_address(address) for address in self._facts.settings.bind]

    @property
    def timeout(self) -> int:
        return self._facts.settings.timeout

    @property
    def proc_name(self) -> str:
        return self._facts.settings.wsgi_app

    @property
    def num_workers(self) -> int:
        return self._facts.num_workers

    @property
    def WORKERS(self) -> "dict[int, WorkerView]":
        return {pid: self._views.worker(worker) for pid, worker in self._facts.workers.items()}

    @property
    def LISTENERS(self) -> list[ListenerView]:
        return [ListenerView(listener) for listener in self._facts.listeners]


class WorkerView(_LookAlike):
    """The Worker of all hooks that get one."""

    _called = "worker"
    _absent = (
        "app wsgi max_requests tmp PIPE wait_fds reloader SIGNALS notify init_process load_wsgi init_signals run"
        " handle_exit handle_quit handle_abort handle_usr1 handle_winch handle_error handle handle_request"
    )

    def __init__(self, facts: WorkerFacts, log: LoggerView) -> None:
        self._facts = facts
        self.log = log

    def see(self, facts: WorkerFacts) -> None:
        self._facts = facts

    def __str__(self) -> str:
        return f"<Worker {self.pid}>"

    @property
    def pid(self) -> int | str:
        return self._facts.pid or "[booting]"

    @property
    def ppid(self) -> int:
        return self._facts.ppid

    @property
    def age(self) -> int:
        return self._facts.age

    @property
    def cfg(self) -> ConfigView:
        return ConfigView(self._facts.settings)

    @property
    def timeout(self) -> float:
        return self._facts.settings.timeout / 2

    @property
    def sockets(self) -> list[ListenerView]:
        return [ListenerView(listener) for listener in self._facts.listeners]

    @property
    def nr(self) -> int:
        return self._facts.page.requests

    @property
    def alive(self) -> bool:
        return self._facts.alive

    @property
    def booted(self) -> bool:
        return self._facts.booted

    @property
    def aborted(self) -> bool:
        return self._facts.aborted


class RequestView(_LookAlike):
    """req. Its trailers are dropped by the server, as a proxy would."""

    _called = "req"
    _absent = (
        "body cfg unreader req_number must_close force_close should_close limit_request_line limit_request_fields"
        " limit_request_field_size parse"
    )

    def __init__(self, facts: RequestFacts) -> None:
        self.method = facts.method
        self.uri = facts.target
        self.path = facts.path
        self.query = facts.query
        self.fragment = facts.target.partition("#")[2]
        self.version = (1, facts.minor)
        self.headers = [(name.upper(), value) for name, value in facts.fields]
        self.trailers: list[tuple[str, str]] = []
        self.scheme = facts.scheme
        self.peer_addr = self.remote_addr = facts.peer
        self.proxy_protocol_info = None


class ResponseView(_LookAlike):
    """resp, as it was when the response ended."""

    _called = "resp"
    _absent = (
        "req sock version must_close upgrade cfg should_close force_close start_response write write_file close"
        " sendfile process_headers is_chunked default_headers send_headers"
    )

    def __init__(self, facts: ResponseFacts) -> None:
        self.status = facts.status or None
        self.status_code = int(facts.status.partition(" ")[0]) if facts.status else None
        self.headers = list(facts.fields)
        self.headers_sent = facts.started
        self.sent = facts.sent
        self.chunked = facts.chunked
        lengths = [value for name, value in facts.fields if name.lower() == "content-length"]
        self.response_length = int(lengths[0]) if lengths else None


def _address(address: Address) -> tuple[str, int] | str:
    return address.path if isinstance(address, UnixAddress) else (address.host, address.port)
