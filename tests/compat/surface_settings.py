"""Section 1.1 of Gunicorn 27.0.1's surface: its settings, as data.

Facts only: name, flags, default as a configuration file would say it, environment variable. `refused` and `unused` are
what this version of Ostler does with a setting, and a value that shows it. A row without both acts, and a test shows
how (see covering.py). Rows are added when Gunicorn adds a setting, and lose `refused` when the setting is built.
"""

from dataclasses import dataclass
from typing import Final


class _Machine:
    """The default is not a constant: it depends on the machine, the user or the platform."""


MACHINE: Final = _Machine()


@dataclass(frozen=True)
class Setting:
    """One setting of Gunicorn."""

    name: str
    flags: str
    """As on the command line, with spaces between; empty for files only."""
    default: object
    env: str = ""
    """The variable that sets its default."""
    refused: str = ""
    """A value, as Python, that asks for what this version does not have: an error that names the setting."""
    unused: str = ""
    """A value, as Python, that is accepted and of no use here: one info line that names the setting."""

    @property
    def key(self) -> str:
        return f"setting:{self.name}"

    @property
    def acts(self) -> bool:
        return not (self.refused or self.unused)


@dataclass(frozen=True)
class Own:
    """A setting that only Ostler has."""

    name: str

    @property
    def key(self) -> str:
        return f"setting:{self.name}"


GUNICORN_VERSION: Final = "27.0.1"
SECURE_SCHEMES: Final = {"X-FORWARDED-PROTOCOL": "ssl", "X-FORWARDED-PROTO": "https", "X-FORWARDED-SSL": "on"}

# fmt: off
SETTINGS: Final = (
    Setting("config", "-c --config", MACHINE),
    Setting("wsgi_app", "", None),
    Setting("control_socket", "--control-socket", MACHINE),
    Setting("control_socket_mode", "--control-socket-mode", 0o600),
    Setting("control_socket_disable", "--no-control-socket", False),
    Setting("reload", "--reload", False),
    Setting("reload_engine", "--reload-engine", "auto"),
    Setting("reload_extra_files", "--reload-extra-file", []),
    Setting("spew", "--spew", False),
    Setting("check_config", "--check-config", False),
    Setting("print_config", "--print-config", False),
    Setting("dirty_apps", "--dirty-app", [], refused="['a:B']"),
    Setting("dirty_workers", "--dirty-workers", 0, refused="2"),
    Setting("dirty_timeout", "--dirty-timeout", 300, refused="5"),
    Setting("dirty_threads", "--dirty-threads", 1, refused="2"),
    Setting("dirty_graceful_timeout", "--dirty-graceful-timeout", 30, refused="5"),
    Setting("http_protocols", "--http-protocols", "h1", refused="'h2,h1'"),
    Setting("http2_cleartext", "--http2-cleartext", "off", refused="'both'"),
    Setting("http2_max_concurrent_streams", "--http2-max-concurrent-streams", 100, refused="7"),
    Setting("http2_initial_window_size", "--http2-initial-window-size", 65535, refused="70000"),
    Setting("http2_max_frame_size", "--http2-max-frame-size", 16384, refused="20000"),
    Setting("http2_max_header_list_size", "--http2-max-header-list-size", 65536, refused="1000"),
    Setting("accesslog", "--access-logfile", None),
    Setting("disable_redirect_access_to_syslog", "--disable-redirect-access-to-syslog", False),
    Setting("access_log_format", "--access-logformat", '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'),
    Setting("errorlog", "--error-logfile --log-file", "-"),
    Setting("loglevel", "--log-level", "info"),
    Setting("capture_output", "--capture-output", False),
    Setting("logger_class", "--logger-class", "gunicorn.glogging.Logger"),
    Setting("logconfig", "--log-config", None),
    Setting("logconfig_dict", "", {}),
    Setting("logconfig_json", "--log-config-json", None),
    Setting("syslog_addr", "--log-syslog-to", MACHINE),
    Setting("syslog", "--log-syslog", False),
    Setting("syslog_prefix", "--log-syslog-prefix", None),
    Setting("syslog_facility", "--log-syslog-facility", "user"),
    Setting("enable_stdio_inheritance", "-R --enable-stdio-inheritance", False),
    Setting("statsd_host", "--statsd-host", None),
    Setting("dogstatsd_tags", "--dogstatsd-tags", ""),
    Setting("statsd_prefix", "--statsd-prefix", ""),
    Setting("enable_backlog_metric", "--enable-backlog-metric", False),
    Setting("proc_name", "-n --name", None),
    Setting("default_proc_name", "", "gunicorn"),
    Setting("keyfile", "--keyfile", None),
    Setting("certfile", "--certfile", None),
    Setting("ssl_version", "--ssl-version", MACHINE, unused="'TLSv1_2'"),
    Setting("cert_reqs", "--cert-reqs", 0),
    Setting("ca_certs", "--ca-certs", None),
    Setting("suppress_ragged_eofs", "--suppress-ragged-eofs", True),
    Setting("do_handshake_on_connect", "--do-handshake-on-connect", False, unused="True"),
    Setting("ciphers", "--ciphers", None),
    Setting("limit_request_line", "--limit-request-line", 4094),
    Setting("limit_request_fields", "--limit-request-fields", 100),
    Setting("limit_request_field_size", "--limit-request-field_size", 8190),
    Setting("preload_app", "--preload", False),
    Setting("sendfile", "--no-sendfile", None, env="SENDFILE"),
    Setting("reuse_port", "--reuse-port", False),
    Setting("chdir", "--chdir", MACHINE),
    Setting("daemon", "-D --daemon", False),
    Setting("raw_env", "-e --env", []),
    Setting("pidfile", "-p --pid", None),
    Setting("worker_tmp_dir", "--worker-tmp-dir", None, unused="'/tmp'"),
    Setting("user", "-u --user", MACHINE),
    Setting("group", "-g --group", MACHINE),
    Setting("umask", "-m --umask", 0),
    Setting("initgroups", "--initgroups", False),
    Setting("tmp_upload_dir", "", None),
    Setting("secure_scheme_headers", "", SECURE_SCHEMES),
    Setting("forwarded_allow_ips", "--forwarded-allow-ips", "127.0.0.1,::1", env="FORWARDED_ALLOW_IPS"),
    Setting("pythonpath", "--pythonpath", None),
    Setting("paste", "--paste --paster", None),
    Setting("proxy_protocol", "--proxy-protocol", "off"),
    Setting("proxy_allow_ips", "--proxy-allow-from", "127.0.0.1,::1"),
    Setting("protocol", "--protocol", "http"),
    Setting("uwsgi_allow_ips", "--uwsgi-allow-from", "127.0.0.1,::1"),
    Setting("raw_paste_global_conf", "--paste-global", []),
    Setting("permit_obsolete_folding", "--permit-obsolete-folding", False),
    Setting("strip_header_spaces", "--strip-header-spaces", False),
    Setting("permit_unconventional_http_method", "--permit-unconventional-http-method", False),
    Setting("permit_unconventional_http_version", "--permit-unconventional-http-version", False),
    Setting("casefold_http_method", "--casefold-http-method", False),
    Setting("forwarder_headers", "--forwarder-headers", "SCRIPT_NAME,PATH_INFO"),
    Setting("header_map", "--header-map", "drop"),
    Setting("root_path", "--root-path", ""),
    Setting("bind", "-b --bind", ["127.0.0.1:8000"], env="PORT"),
    Setting("backlog", "--backlog", 2048),
    Setting("workers", "-w --workers", 1, env="WEB_CONCURRENCY"),
    Setting("worker_class", "-k --worker-class", "sync"),
    Setting("threads", "--threads", 1),
    Setting("worker_connections", "--worker-connections", 1000),
    Setting("max_requests", "--max-requests", 0),
    Setting("max_requests_jitter", "--max-requests-jitter", 0),
    Setting("timeout", "-t --timeout", 30),
    Setting("graceful_timeout", "--graceful-timeout", 30),
    Setting("keepalive", "--keep-alive", 2),
    Setting("asgi_loop", "--asgi-loop", "auto"),
    Setting("asgi_lifespan", "--asgi-lifespan", "auto"),
    Setting("asgi_disconnect_grace_period", "--asgi-disconnect-grace-period", 3),
    Setting("websocket_max_message_size", "--websocket-max-message-size", 16777216),
    Setting("http_parser", "--http-parser", "auto", unused="'python'"),
)
# fmt: on

OWN_SETTINGS: Final = tuple(
    Own(name)
    for name in (
        "preload_unsafe", "refork_after", "reload_check", "reload_surge", "reload_max_unavailable", "reload_canary",
        "max_worker_age", "max_worker_age_jitter", "max_worker_memory", "max_worker_memory_jitter",
        "max_worker_memory_measure", "trace_memory", "lame_duck", "readiness_path",
        "queue_timeout", "health_paths", "workers_min", "workers_max", "cpu_affinity",
        "boot_timeout", "mask_query", "kill_worker_children", "request_buffering", "access_log_skip", "error_log_json",
        "log_rotate_size", "log_rotate_interval", "log_rotate_keep",
        "limit_request_body", "remote_addr_from", "trusted_hops", "sni_certificates",
        "request_timeout", "request_timeout_hard", "request_timeout_paths",
        "handshake_timeout", "header_timeout", "body_timeout", "body_min_rate", "body_total_timeout",
        "write_timeout", "write_min_rate", "lingering_timeout",
        "ws_ping_interval", "ws_ping_timeout", "ws_per_message_deflate",
    )
)
