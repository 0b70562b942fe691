"""Gunicorn's settings that this version does not have, so that each can be refused by its name.

Nothing is parsed and ignored: a name from here is an error wherever it is given, even with Gunicorn's default value.
The flags are known to the parser, with their kinds, because argparse accepts unique prefixes of flags: a prefix that
is unique among Gunicorn's flags must stay so, and one that is ambiguous there must not change its meaning here.
When a setting is built its line moves to `sections/`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import ostler
from ostler.config.setting import FlagKind


@dataclass(frozen=True, slots=True)
class Refused:
    """A setting of Gunicorn 27.0.1 by its name in configuration files, with its flags."""

    name: str
    flags: tuple[str, ...] = ()
    kind: FlagKind = FlagKind.VALUE

    @property
    def long_flag(self) -> str:
        """The flag to name in an error, whichever spelling was used."""
        return next(flag for flag in self.flags if flag.startswith("--"))


def refusal(names: Sequence[str], remedies: Sequence[str], place: str) -> str:
    """The line for settings that were given in one place; `remedies` is what to remove there."""
    return (
        f"{', '.join(names)}: not built yet in this version of Ostler ({ostler.__version__}); "
        f"remove {', '.join(remedies)} (from {place})"
    )


_ON = FlagKind.ON
_REPEAT = FlagKind.REPEAT

REFUSED: tuple[Refused, ...] = (
    # Control
    Refused("control_socket", ("--control-socket",)),
    Refused("control_socket_mode", ("--control-socket-mode",)),
    Refused("control_socket_disable", ("--no-control-socket",), _ON),
    # Debugging
    Refused("reload_engine", ("--reload-engine",)),
    Refused("reload_extra_files", ("--reload-extra-file",), _REPEAT),
    Refused("spew", ("--spew",), _ON),
    # Dirty arbiters
    Refused("dirty_apps", ("--dirty-app",), _REPEAT),
    Refused("dirty_workers", ("--dirty-workers",)),
    Refused("dirty_timeout", ("--dirty-timeout",)),
    Refused("dirty_threads", ("--dirty-threads",)),
    Refused("dirty_graceful_timeout", ("--dirty-graceful-timeout",)),
    # HTTP/2
    Refused("http_protocols", ("--http-protocols",)),
    Refused("http2_cleartext", ("--http2-cleartext",)),
    Refused("http2_max_concurrent_streams", ("--http2-max-concurrent-streams",)),
    Refused("http2_initial_window_size", ("--http2-initial-window-size",)),
    Refused("http2_max_frame_size", ("--http2-max-frame-size",)),
    Refused("http2_max_header_list_size", ("--http2-max-header-list-size",)),
    # Logging
    Refused("disable_redirect_access_to_syslog", ("--disable-redirect-access-to-syslog",), _ON),
    Refused("logger_class", ("--logger-class",)),
    Refused("logconfig", ("--log-config",)),
    Refused("logconfig_dict"),
    Refused("logconfig_json", ("--log-config-json",)),
    Refused("syslog_addr", ("--log-syslog-to",)),
    Refused("syslog", ("--log-syslog",), _ON),
    Refused("syslog_prefix", ("--log-syslog-prefix",)),
    Refused("syslog_facility", ("--log-syslog-facility",)),
    Refused("enable_stdio_inheritance", ("-R", "--enable-stdio-inheritance"), _ON),
    Refused("statsd_host", ("--statsd-host",)),
    Refused("dogstatsd_tags", ("--dogstatsd-tags",)),
    Refused("statsd_prefix", ("--statsd-prefix",)),
    Refused("enable_backlog_metric", ("--enable-backlog-metric",), _ON),
    # Process naming
    Refused("proc_name", ("-n", "--name")),
    Refused("default_proc_name"),
    # SSL
    Refused("keyfile", ("--keyfile",)),
    Refused("certfile", ("--certfile",)),
    Refused("ssl_version", ("--ssl-version",)),
    Refused("cert_reqs", ("--cert-reqs",)),
    Refused("ca_certs", ("--ca-certs",)),
    Refused("suppress_ragged_eofs", ("--suppress-ragged-eofs",), _ON),
    Refused("do_handshake_on_connect", ("--do-handshake-on-connect",), _ON),
    Refused("ciphers", ("--ciphers",)),
    # Server mechanics
    Refused("preload_app", ("--preload",), _ON),
    Refused("sendfile", ("--no-sendfile",), _ON),
    Refused("reuse_port", ("--reuse-port",), _ON),
    Refused("daemon", ("-D", "--daemon"), _ON),
    Refused("raw_env", ("-e", "--env"), _REPEAT),
    Refused("pidfile", ("-p", "--pid")),
    Refused("worker_tmp_dir", ("--worker-tmp-dir",)),
    Refused("user", ("-u", "--user")),
    Refused("group", ("-g", "--group")),
    Refused("umask", ("-m", "--umask")),
    Refused("initgroups", ("--initgroups",), _ON),
    Refused("tmp_upload_dir"),
    Refused("paste", ("--paste", "--paster")),
    Refused("proxy_protocol", ("--proxy-protocol",), FlagKind.OPTIONAL),
    Refused("proxy_allow_ips", ("--proxy-allow-from",)),
    Refused("protocol", ("--protocol",)),
    Refused("uwsgi_allow_ips", ("--uwsgi-allow-from",)),
    Refused("raw_paste_global_conf", ("--paste-global",), _REPEAT),
    Refused("permit_obsolete_folding", ("--permit-obsolete-folding",), _ON),
    Refused("strip_header_spaces", ("--strip-header-spaces",), _ON),
    Refused("permit_unconventional_http_method", ("--permit-unconventional-http-method",), _ON),
    Refused("permit_unconventional_http_version", ("--permit-unconventional-http-version",), _ON),
    Refused("casefold_http_method", ("--casefold-http-method",), _ON),
    Refused("root_path", ("--root-path",)),
    # Worker processes
    Refused("asgi_loop", ("--asgi-loop",)),
    Refused("asgi_lifespan", ("--asgi-lifespan",)),
    Refused("asgi_disconnect_grace_period", ("--asgi-disconnect-grace-period",)),
    Refused("websocket_max_message_size", ("--websocket-max-message-size",)),
    Refused("http_parser", ("--http-parser",)),
    # Hooks
    Refused("pre_exec"),
    Refused("ssl_context"),
    Refused("on_dirty_starting"),
    Refused("dirty_post_fork"),
    Refused("dirty_worker_init"),
    Refused("dirty_worker_exit"),
)
