"""Values of settings as Gunicorn's cfg gives them: lists where Ostler has tuples, texts where it has addresses.

Rules for editing: `config/` decides what a value is; here only its clothes are changed. Every name of Gunicorn's 120
settings has a value, those of features that are not built too: what `Settings.others` holds.
"""

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from ostler.config.address import Address, FdAddress, UnixAddress
from ostler.config.control_path import default_control_socket
from ostler.config.sections import HOOKS
from ostler.config.settings import Settings

_CONTROL_SOCKET: Final = default_control_socket(os.environ)  # of the start, as Gunicorn's
_HOOK_NAMES: Final = frozenset(entry.name for entry in HOOKS)
_LISTS: Final = frozenset(
    {"access_log_skip", "dirty_apps", "forwarder_headers", "raw_env", "raw_paste_global_conf", "reload_extra_files"}
)
_TEXTS_WITH_COMMAS: Final = frozenset({"http_protocols"})


def no_hook(*_: object) -> None:
    """What stands in cfg for a hook that nobody set."""


def default_ssl_context(_config: object, default_factory: Callable[[], object]) -> object:
    """The same, of `ssl_context`."""
    return default_factory()


def bound_address(address: Address) -> tuple[str, int] | str | int:
    """An entry of cfg.address: host and port, a path (an abstract one with a NUL before it), or a descriptor.

    Of a descriptor that is asked for by systemd's name, which Gunicorn does not know: the name.
    """
    match address:
        case UnixAddress(path, abstract=True):
            return f"\0{path}"
        case UnixAddress(path):
            return path
        case FdAddress(fd, name):
            return name if fd is None else fd
        case _:
            return (address.host, address.port)


def value_of(settings: Settings, name: str) -> Any:
    """The value of the setting `name`, which the table has, as cfg.settings[name].value."""
    if name in _HOOK_NAMES:
        hook = getattr(settings.hooks, name, None)
        return hook or (default_ssl_context if name == "ssl_context" else no_hook)
    if name in _SPECIAL:
        return _SPECIAL[name](settings)
    value: Any = settings.others[name] if name in settings.others else getattr(settings, name)
    if name in _LISTS:
        return list(value)
    if name in _TEXTS_WITH_COMMAS:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    return dict(value) if isinstance(value, Mapping) else value


def _ssl_version(settings: Settings) -> Any:
    given = settings.others["ssl_version"]
    if given is None:
        # not imported above: it costs every process 3 MB, for a value that hardly anybody asks for
        return importlib.import_module("ssl").PROTOCOL_TLS
    return given


def _statsd_host(settings: Settings) -> tuple[str, int] | str | None:
    host = settings.statsd_host
    if host is None:
        return None
    return host.path or (host.host, host.port)


_SPECIAL: Final[dict[str, Callable[[Settings], Any]]] = {
    "wsgi_app": lambda settings: settings.wsgi_app or None,
    "bind": lambda settings: [str(address) for address in settings.bind],
    "pythonpath": lambda settings: ",".join(settings.pythonpath) or None,
    "forwarded_allow_ips": lambda settings: list(settings.forwarded_allow_ips.texts),
    "proxy_allow_ips": lambda settings: list(settings.proxy_allow_ips.texts),
    "uwsgi_allow_ips": lambda settings: list(settings.uwsgi_allow_ips.texts),
    "syslog_addr": lambda settings: str(settings.syslog_addr),
    "statsd_host": _statsd_host,
    "control_socket": lambda settings: settings.control_socket or _CONTROL_SOCKET,
    "ssl_version": _ssl_version,
    # --no-sendfile sets False; without it Gunicorn's setting is None, and cfg.sendfile says what follows from it
    "sendfile": lambda settings: None if settings.sendfile else False,
    "proc_name": lambda settings: None if settings.proc_name == settings.default_proc_name else settings.proc_name,
}
