"""`gunicorn.config`: Config, and the settings as classes (AccessLogFormat.default and its like).

Rules for editing: the classes are made from the table and say what it says; Gunicorn's class names are kept where they
are not the setting's name in camel case (`_NAMES`). Settings of a user's own, made by deriving a class, are not built.
"""

from typing import Any, Final, NoReturn

from ostler.compat.cfg import Config, SettingView
from ostler.compat.package.errors import ConfigError
from ostler.config.sections import ENTRIES

__all__ = ["KNOWN_SETTINGS", "Config", "ConfigError", "make_settings"]

_CONTENTS: Final = ("name", "section", "cli", "meta", "default", "desc", "short", "order")
_NAMES: Final = {
    "config": "ConfigFile",
    "wsgi_app": "WSGIApp",
    "threads": "WorkerThreads",
    "check_config": "ConfigCheck",
    "raw_env": "Env",
    "secure_scheme_headers": "SecureSchemeHeader",
    "forwarded_allow_ips": "ForwardedAllowIPS",
    "accesslog": "AccessLog",
    "errorlog": "ErrorLog",
    "logconfig": "LogConfig",
    "logconfig_dict": "LogConfigDict",
    "logconfig_json": "LogConfigJson",
    "syslog_addr": "SyslogTo",
    "enable_backlog_metric": "BacklogMetric",
    "proc_name": "Procname",
    "pythonpath": "PythonPath",
    "pre_fork": "Prefork",
    "post_fork": "Postfork",
    "nworkers_changed": "NumWorkersChanged",
    "ssl_context": "NewSSLContext",
    "proxy_allow_ips": "ProxyAllowFrom",
    "uwsgi_allow_ips": "UWSGIAllowFrom",
    "keyfile": "KeyFile",
    "certfile": "CertFile",
    "ssl_version": "SSLVersion",
    "ca_certs": "CACerts",
    "suppress_ragged_eofs": "SuppressRaggedEOFs",
    "http_protocols": "HTTPProtocols",
    "http2_cleartext": "HTTP2Cleartext",
    "http2_max_concurrent_streams": "HTTP2MaxConcurrentStreams",
    "http2_initial_window_size": "HTTP2InitialWindowSize",
    "http2_max_frame_size": "HTTP2MaxFrameSize",
    "http2_max_header_list_size": "HTTP2MaxHeaderListSize",
    "raw_paste_global_conf": "PasteGlobalConf",
    "permit_unconventional_http_method": "PermitUnconventionalHTTPMethod",
    "permit_unconventional_http_version": "PermitUnconventionalHTTPVersion",
    "casefold_http_method": "CasefoldHTTPMethod",
    "asgi_loop": "ASGILoop",
    "asgi_lifespan": "ASGILifespan",
    "asgi_disconnect_grace_period": "ASGIDisconnectGracePeriod",
    "websocket_max_message_size": "WebSocketMaxMessageSize",
}


def make_settings(ignore: object = None) -> dict[str, SettingView]:
    """The settings with their defaults, without the names in `ignore`."""
    left_out = set(ignore) if isinstance(ignore, (list, tuple, set, frozenset)) else set()
    return {name: setting for name, setting in Config().settings.items() if name not in left_out}


def _class_of(entry: Any) -> type:
    shown = SettingView(entry, Config())
    contents = {name: getattr(shown, name) for name in _CONTENTS}
    name = _NAMES.get(entry.name) or "".join(word.capitalize() for word in entry.name.split("_"))
    return type(name, (), {**contents, "__doc__": entry.doc, "__module__": "gunicorn.config"})


KNOWN_SETTINGS: Final = [_class_of(entry) for entry in ENTRIES if entry.gunicorn]
globals().update({each.__name__: each for each in KNOWN_SETTINGS})


def __getattr__(name: str) -> NoReturn:
    cure = "Config, KNOWN_SETTINGS and the classes of the settings are"
    raise AttributeError(f"gunicorn.config.{name} is not built in this version of Ostler; {cure}", name=name)
