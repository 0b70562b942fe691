"""`Settings`: what was asked for, whole, typed and frozen. Every other part of Ostler is configured by this one object.

One attribute per setting that acts, with Gunicorn's names. The entries themselves (flags, readers, defaults, docs) are
in `sections/`; a test holds both in step. The checks that need more than one setting are in `draft.py`.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Literal

from ostler.config.address import Address, AllowList, StatsdAddress, SyslogAddress
from ostler.config.affinity import Sets
from ostler.config.draft import Draft
from ostler.config.origins import DEFAULT_ORIGIN
from ostler.config.sections import ENTRIES, HOOKS, TABLE
from ostler.config.sections.hooks import Hook
from ostler.config.sections.workers import is_kind
from ostler.config.setting import ReloadEffect


@dataclass(frozen=True, slots=True)
class Hooks:
    """The user's callables, by Gunicorn's names; None where none is set. `post_request` always takes four arguments
    here: one that was written for two or three is wrapped when it is read.
    """

    on_starting: Hook | None = None
    on_reload: Hook | None = None
    when_ready: Hook | None = None
    pre_fork: Hook | None = None
    post_fork: Hook | None = None
    post_worker_init: Hook | None = None
    worker_int: Hook | None = None
    worker_abort: Hook | None = None
    pre_request: Hook | None = None
    post_request: Hook | None = None
    child_exit: Hook | None = None
    worker_exit: Hook | None = None
    pre_exec: Hook | None = None
    nworkers_changed: Hook | None = None
    on_exit: Hook | None = None
    ssl_context: Hook | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Times in seconds, sizes in bytes. Paths of files and sockets are absolute (relative ones: from `chdir`, that of
    `paste` from where the server was started).
    """

    config: str | None
    wsgi_app: str  # APP of the command line, else the setting; empty when only `paste` names an application

    bind: tuple[Address, ...]
    backlog: int
    reuse_port: bool

    workers: int
    worker_class: str | type  # a kind (sync with threads > 1 is gthread), or a user's class, or its path or entry point
    threads: int
    worker_connections: int
    queue_timeout: float  # 0: none
    health_paths: tuple[str, ...]
    workers_min: int  # of the three, the second is between the others, unless workers_max is 0: no scaling
    workers_max: int
    cpu_affinity: Sets  # by slot, in turn; empty: the system decides
    max_requests: int  # 0: never recycled
    max_requests_jitter: int
    timeout: int  # 0: off
    graceful_timeout: int
    boot_timeout: int  # 0: off
    kill_worker_children: bool
    keepalive: int
    asgi_loop: Literal["auto", "asyncio", "uvloop"]
    asgi_lifespan: Literal["auto", "on", "off"]
    asgi_disconnect_grace_period: int
    websocket_max_message_size: int  # bytes; 0: none
    ws_ping_interval: float  # 0: never
    ws_ping_timeout: float  # 0: no limit
    ws_per_message_deflate: bool
    root_path: str  # "" or /PREFIX

    preload_app: bool
    preload_unsafe: Literal["warn", "refuse", "lazy"]
    refork_after: tuple[int, ...]  # requests; the last one repeats, 0: no more
    reload_check: tuple[str, ...]  # "/PATH" or "http://HOST/PATH"
    reload_surge: int
    reload_max_unavailable: int
    reload_canary: float  # 0: none
    max_worker_age: float  # 0: never replaced for its age
    max_worker_age_jitter: float | None  # None: a tenth
    max_worker_memory: int  # bytes; 0: never replaced for its memory
    max_worker_memory_jitter: int | None  # None: a twentieth
    max_worker_memory_measure: Literal["rss", "pss"]
    trace_memory: bool
    lame_duck: float  # 0: none
    readiness_path: tuple[str, ...]

    chdir: str
    pythonpath: tuple[str, ...]
    raw_env: tuple[str, ...]  # KEY=VALUE
    daemon: bool
    enable_stdio_inheritance: bool
    pidfile: str | None
    sendfile: bool
    tmp_upload_dir: str | None
    paste: str | None  # FILE or FILE#NAME; instead of wsgi_app
    raw_paste_global_conf: tuple[str, ...]  # KEY=VALUE, an equals sign of the key as \=
    user: int  # of the workers; the process's own when not set
    group: int
    initgroups: bool
    umask: int

    forwarded_allow_ips: AllowList
    secure_scheme_headers: Mapping[str, str]  # UPPER-CASE name -> value
    forwarder_headers: tuple[str, ...]  # UPPER CASE
    header_map: Literal["drop", "refuse", "dangerous"]
    request_buffering: bool
    remote_addr_from: Literal["peer", "x-forwarded-for", "forwarded"]
    trusted_hops: int | AllowList
    proxy_protocol: Literal["off", "v1", "v2", "auto"]
    proxy_allow_ips: AllowList
    protocol: Literal["http", "uwsgi"]
    uwsgi_allow_ips: AllowList

    limit_request_line: int  # 0: none
    limit_request_fields: int  # 0 was turned into the hard cap, 32768
    limit_request_field_size: int  # 0: none
    limit_request_body: int  # 0: none
    permit_obsolete_folding: bool
    strip_header_spaces: bool
    permit_unconventional_http_method: bool
    permit_unconventional_http_version: bool
    casefold_http_method: bool

    request_timeout: float  # of all deadlines: 0 is none
    request_timeout_hard: float  # 0: twice the soft one
    request_timeout_paths: Mapping[str, float]  # prefix -> seconds
    handshake_timeout: float
    header_timeout: float
    body_timeout: float
    body_min_rate: int  # bytes a second
    body_total_timeout: float
    write_timeout: float
    write_min_rate: int
    lingering_timeout: float

    keyfile: str | None  # None: the key is in certfile
    certfile: str | None
    sni_certificates: Mapping[str, tuple[str, str | None]]  # host name in lower case -> certificate and key
    cert_reqs: int  # of clients: ssl.VerifyMode
    ca_certs: str | None
    suppress_ragged_eofs: bool
    ciphers: str | None

    accesslog: str | None  # "-": stdout
    access_log_format: str  # or "json"
    mask_query: bool
    access_log_skip: tuple[str, ...]  # paths; one that ends in * is a prefix
    errorlog: str  # "-": stderr
    error_log_json: bool
    loglevel: str  # debug, info, warning, error, critical
    capture_output: bool
    log_rotate_size: int  # bytes; 0: off
    log_rotate_interval: int  # 0: off
    log_rotate_keep: int
    logger_class: str | type  # "gunicorn.glogging.Logger" is the default
    logconfig: str | None  # of the three, the first that is set wins: dict, json, this
    logconfig_dict: Mapping[str, Any]
    logconfig_json: str | None
    syslog: bool
    syslog_addr: SyslogAddress
    syslog_prefix: str | None
    syslog_facility: str  # lower case
    disable_redirect_access_to_syslog: bool
    statsd_host: StatsdAddress | None
    statsd_prefix: str
    dogstatsd_tags: str
    enable_backlog_metric: bool

    proc_name: str
    default_proc_name: str

    reload: bool
    reload_engine: Literal["auto", "poll", "inotify"]
    reload_extra_files: tuple[str, ...]  # with *, ? or [: a pattern
    spew: bool
    check_config: bool
    print_config: bool

    control_socket: str | None  # None: the default place, if it can be used
    control_socket_mode: int
    control_socket_disable: bool

    hooks: Hooks
    origins: Mapping[str, str]
    others: Mapping[str, object]  # values of the entries that do not act
    notices: tuple[str, ...]  # lines for the operator: names that look mistyped, settings without an effect

    def origin(self, name: str) -> str:
        """Where the value of `name` came from: "default", "PORT", "gunicorn.conf.py", "command line", ..."""
        return self.origins.get(name, DEFAULT_ORIGIN)

    @property
    def kind(self) -> str:
        """The worker kind; "" for a class of the user's own, of which only its process knows."""
        return self.worker_class if isinstance(self.worker_class, str) and is_kind(self.worker_class) else ""

    @property
    def is_tls(self) -> bool:
        """Whether clients speak TLS, on every address; as Gunicorn decides it."""
        return bool(self.certfile or self.keyfile)

    @classmethod
    def defaults(cls, **changes: Any) -> "Settings":
        """The settings of an `ostler app:application` without environment or files, with `changes` (final values)."""
        hooks = changes.pop("hooks", Hooks())
        unknown = changes.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
        values = {"wsgi_app": "app:application", "chdir": os.getcwd()} | changes
        return _assemble(values, hooks, {}, ())


def resolve(
    values: Mapping[str, Any],
    origins: Mapping[str, str],
    directory: str,
    notices: Sequence[str] = (),
    *,
    names_application: bool = True,
) -> Settings:
    """Put parsed values together: `values` holds what was given, the table's defaults fill the rest.

    `directory` is where the server was started; `notices` are those of the sources; `names_application`: one has to be
    named (a program that embeds the server has its own). Raises ConfigError when values do not go together or name
    files and directories that are not there.
    """
    draft = Draft({entry.name: entry.default_value() for entry in TABLE} | dict(values), origins, notices)
    draft.finish(directory, names_application=names_application)
    hooks = Hooks(**{entry.name: draft.values.pop(entry.name, None) for entry in HOOKS if entry.acts})
    return _assemble(draft.values, hooks, draft.origins, draft.notices)


def _assemble(given: Mapping[str, Any], hooks: Hooks, origins: Mapping[str, str], notices: Sequence[str]) -> Settings:
    values: dict[str, Any] = {entry.name: entry.default_value() for entry in TABLE} | dict(given)
    others = {entry.name: values.pop(entry.name, None) for entry in ENTRIES if not entry.acts}
    values["user"] = os.geteuid() if values["user"] is None else values["user"]
    values["group"] = os.getegid() if values["group"] is None else values["group"]
    application = values["paste"].partition("#")[0] if values["paste"] else values["wsgi_app"]
    values["wsgi_app"] = values["wsgi_app"] or ""
    values["default_proc_name"] = values["default_proc_name"] or application or "ostler"
    values["proc_name"] = values["proc_name"] or values["default_proc_name"]
    extra = {"origins": MappingProxyType(dict(origins)), "others": MappingProxyType(others), "notices": tuple(notices)}
    return Settings(**(values | extra), hooks=hooks)


def restart_needed(old: Settings, new: Settings) -> tuple[str, ...]:
    """The settings of which a reload found another value that only a restart of the server can bring about."""
    return tuple(name for name in _RESTART if getattr(old, name) != getattr(new, name))


def keep_until_restart(old: Settings, new: Settings) -> Settings:
    """`new` with the values of `old` where only a restart can change them, and with their origins."""
    kept: dict[str, Any] = {name: getattr(old, name) for name in _RESTART}
    origins = {name: origin for name, origin in new.origins.items() if name not in kept}
    origins |= {name: origin for name, origin in old.origins.items() if name in kept}
    return replace(new, **kept, origins=MappingProxyType(origins))


# A setting that files cannot hold cannot change: the command line of a reload is that of the start.
_RESTART = tuple(
    entry.name for entry in TABLE if entry.reload is ReloadEffect.RESTART and entry.acts and entry.in_files
)
