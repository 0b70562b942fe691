"""`Settings`: what was asked for, whole, typed and frozen. Every other part of Ostler is configured by this one object.

One attribute per setting, with Gunicorn's names. The entries themselves (flags, readers, defaults, docs) are in
`sections/`; a test holds both in step. Here are the types, and the checks that need more than one setting.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Literal

from ostler.config.address import Address, AllowList, UnixAddress
from ostler.config.sections import HOOKS, TABLE
from ostler.config.sections.hooks import Hook
from ostler.errors import ConfigError

DEFAULT_ORIGIN = "default"
COMMAND_LINE = "command line"


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
    nworkers_changed: Hook | None = None
    on_exit: Hook | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Times in seconds, sizes in bytes. Paths of files and sockets are absolute (relative ones: from `chdir`)."""

    config: str | None
    wsgi_app: str  # APP of the command line, else the setting

    bind: tuple[Address, ...]
    backlog: int

    workers: int
    worker_class: Literal["sync", "gthread"]  # sync with threads > 1 has become gthread
    threads: int
    worker_connections: int
    max_requests: int  # 0: never recycled
    max_requests_jitter: int
    timeout: int  # 0: off
    graceful_timeout: int
    boot_timeout: int  # 0: off
    keepalive: int

    chdir: str
    pythonpath: tuple[str, ...]
    forwarded_allow_ips: AllowList
    secure_scheme_headers: Mapping[str, str]  # UPPER-CASE name -> value
    forwarder_headers: tuple[str, ...]  # UPPER CASE
    header_map: Literal["drop", "refuse", "dangerous"]
    request_buffering: bool

    limit_request_line: int  # 0: none
    limit_request_fields: int  # 0 was turned into the hard cap, 32768
    limit_request_field_size: int  # 0: none

    accesslog: str | None  # "-": stdout
    access_log_format: str
    errorlog: str  # "-": stderr
    loglevel: str  # debug, info, warning, error, critical
    capture_output: bool

    reload: bool
    check_config: bool
    print_config: bool

    hooks: Hooks
    origins: Mapping[str, str]

    def origin(self, name: str) -> str:
        """Where the value of `name` came from: "default", "PORT", "gunicorn.conf.py", "command line", ..."""
        return self.origins.get(name, DEFAULT_ORIGIN)

    @classmethod
    def defaults(cls, **changes: Any) -> "Settings":
        """The settings of an `ostler app:application` without environment or files, with `changes` (final values)."""
        values: dict[str, Any] = {entry.name: entry.default_value() for entry in TABLE}
        values |= {"wsgi_app": "app:application", "chdir": os.getcwd()}
        hooks = changes.pop("hooks", Hooks())
        unknown = changes.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
        settings: Settings = cls(**(values | changes), hooks=hooks, origins=MappingProxyType({}))
        return settings


def resolve(values: Mapping[str, Any], origins: Mapping[str, str], directory: str) -> Settings:
    """Put parsed values together: `values` holds what was given, the table's defaults fill the rest.

    `directory` is where the server was started. Raises ConfigError when values do not go together.
    """
    merged: dict[str, Any] = {entry.name: entry.default_value() for entry in TABLE} | dict(values)
    hooks = Hooks(**{entry.name: merged.pop(entry.name, None) for entry in HOOKS})
    if not merged["wsgi_app"]:
        raise ConfigError("no application given; expected MODULE[:ATTRIBUTE], e.g. ostler myapp:app")
    base = _directory(os.path.join(directory, merged["chdir"]), origins)
    merged["chdir"] = base
    merged["pythonpath"] = tuple(_under(base, path) for path in merged["pythonpath"])
    merged["bind"] = _addresses(merged["bind"], base, origins)
    for name in ("accesslog", "errorlog"):
        if merged[name] not in (None, "-"):
            merged[name] = _under(base, merged[name])
    if merged["worker_class"] == "sync" and merged["threads"] > 1:
        merged["worker_class"] = "gthread"
        origins = {**origins, "worker_class": "threads > 1"}
    return Settings(**merged, hooks=hooks, origins=MappingProxyType(dict(origins)))


def _directory(path: str, origins: Mapping[str, str]) -> str:
    # normpath, not realpath: a symbolic link ("current" of a deployment) must be followed anew at each reload.
    path = os.path.normpath(path)
    origin = origins.get("chdir", DEFAULT_ORIGIN)
    if not os.path.isdir(path):
        found = "a file" if os.path.exists(path) else "nothing there"
        raise ConfigError(f'chdir: expected a directory, got "{path}": {found} (from {origin_phrase(origin)})')
    if not os.access(path, os.X_OK):
        raise ConfigError(f'chdir: cannot enter "{path}": permission denied (from {origin_phrase(origin)})')
    return path


def _under(base: str, path: str) -> str:
    return os.path.normpath(os.path.join(base, path))


def _addresses(addresses: tuple[Address, ...], base: str, origins: Mapping[str, str]) -> tuple[Address, ...]:
    found: list[Address] = []
    for address in addresses:
        whole = UnixAddress(_under(base, address.path)) if isinstance(address, UnixAddress) else address
        ephemeral = not isinstance(whole, UnixAddress) and whole.port == 0
        if whole in found and not ephemeral:
            raise ConfigError(
                f"bind: {whole} is given twice (from {origin_phrase(origins.get('bind', DEFAULT_ORIGIN))})"
            )
        found.append(whole)
    return tuple(found)


def origin_phrase(origin: str) -> str:
    """An origin as it reads in a sentence."""
    return "the command line" if origin == COMMAND_LINE else origin
