"""Values that are read, on their way to `Settings`: paths made absolute, the checks that need more than one value.

Relative paths start at `chdir`, because that is where Gunicorn is when it opens them; the exceptions are `paste` and
the configuration file, which it opens before. Only what would fail for certain is an error here: whether a file can be
written, a socket bound or a user changed to is found out by doing it.
"""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ostler.config.address import Address, StatsdAddress, SyslogAddress, TcpAddress, UnixAddress
from ostler.config.machine import AUTO, capacity
from ostler.config.origins import DEFAULT_ORIGIN, origin_phrase
from ostler.config.parse import quoted
from ostler.config.sections import ENTRIES
from ostler.config.setting import Support
from ostler.errors import ConfigError

_PATTERN_CHARACTERS = frozenset("*?[")
_TLS_FILES = ("certfile", "keyfile", "ca_certs")
_LOG_FILES = ("accesslog", "errorlog", "logconfig", "logconfig_json")
_PATHS = (*_LOG_FILES, "pidfile", "tmp_upload_dir", "control_socket", *_TLS_FILES)
_NEEDS = (
    ("proxy_allow_ips", "proxy_protocol", "off"),
    ("uwsgi_allow_ips", "protocol", "http"),
    ("trusted_hops", "remote_addr_from", "peer"),
    ("preload_unsafe", "preload_app", False),
    ("max_worker_age_jitter", "max_worker_age", 0),
    ("max_worker_memory_jitter", "max_worker_memory", 0),
    ("max_worker_memory_measure", "max_worker_memory", 0),
    ("trace_memory", "max_worker_memory", 0),
    ("readiness_path", "lame_duck", 0),
    ("health_paths", "queue_timeout", 0),
    ("workers_min", "workers_max", 0),
)
"""Settings that mean nothing while another one has its default."""

_LOG_CONFIGURATIONS = ("logconfig_dict", "logconfig_json", "logconfig")  # the first that is set wins, as in Gunicorn


class Draft:
    """`values` has all settings of the table; `notices` grows by what the operator should know."""

    def __init__(self, values: Mapping[str, Any], origins: Mapping[str, str], notices: Sequence[str]) -> None:
        self.values = dict(values)
        self.origins = dict(origins)
        self.notices = list(notices)

    def finish(self, directory: str, *, names_application: bool) -> None:
        """Put everything in its final form. `directory` is where the server was started. Raises ConfigError."""
        self._choose_application(directory, needed=names_application)
        base = self._enter(directory)
        self._place_paths(base)
        self.values["bind"] = self._addresses(base)
        self._choose_worker()
        self._choose_replacement()
        self._choose_log_configuration()
        self._check_request_timeouts()
        self._check_files()
        self._check_tls()
        self._tell_what_has_no_effect()

    def _choose_application(self, directory: str, *, needed: bool) -> None:
        paste, app = self.values["paste"], self.values["wsgi_app"]
        if paste is None:
            if not app and needed:
                raise ConfigError("no application given; expected MODULE[:ATTRIBUTE], e.g. ostler myapp:app")
            return
        self.values["paste"] = paste = _under(directory, paste)
        if not os.path.isfile(paste.partition("#")[0]):
            raise self._error("paste", "a PasteDeploy file", paste.partition("#")[0])
        if app:
            self.notices.append(f"wsgi_app: {quoted(app)} is not used, because paste names the application")

    def _enter(self, directory: str) -> str:
        # normpath, not realpath: a symbolic link ("current" of a deployment) must be followed anew at each reload.
        path = _under(directory, self.values["chdir"])
        if not os.path.isdir(path):
            raise self._error("chdir", "a directory", path)
        if not os.access(path, os.X_OK):
            raise ConfigError(f'chdir: cannot enter "{path}": permission denied (from {self._origin("chdir")})')
        self.values["chdir"] = path
        return path

    def _place_paths(self, base: str) -> None:
        for name in _PATHS:
            if self.values[name] not in (None, "-"):
                self.values[name] = _under(base, self.values[name])
        self.values["sni_certificates"] = {
            name: (_under(base, certificate), None if key is None else _under(base, key))
            for name, (certificate, key) in self.values["sni_certificates"].items()
        }
        for name in ("pythonpath", "reload_extra_files"):
            self.values[name] = tuple(_under(base, path) for path in self.values[name])
        for name in ("syslog_addr", "statsd_host"):
            address: SyslogAddress | StatsdAddress | None = self.values[name]
            if address is not None and address.path:
                self.values[name] = replace(address, path=_under(base, address.path))

    def _addresses(self, base: str) -> tuple[Address, ...]:
        found: list[Address] = []
        for address in self.values["bind"]:
            named = isinstance(address, UnixAddress) and not address.abstract
            whole = replace(address, path=_under(base, address.path)) if named else address
            ephemeral = isinstance(whole, TcpAddress) and whole.port == 0
            if whole in found and not ephemeral:
                raise ConfigError(f"bind: {whole} is given twice (from {self._origin('bind')})")
            found.append(whole)
        return tuple(found)

    def _choose_worker(self) -> None:
        if self.values["workers"] == AUTO:
            found = capacity()
            self.values["workers"] = found.workers
            self.origins["workers"] = f"{self.origins.get('workers', DEFAULT_ORIGIN)}: {AUTO}, {found}"
        self._choose_bounds()
        if self.values["worker_class"] == "sync" and self.values["threads"] > 1:
            self.values["worker_class"] = "gthread"
            self.origins["worker_class"] = "threads > 1"

    def _choose_bounds(self) -> None:
        """Between which numbers of workers the master may choose."""
        values = self.values
        workers, most = values["workers"], values["workers_max"]
        if not most:
            values["workers_min"] = 0
            return
        values["workers_min"] = least = values["workers_min"] or min(workers, most)
        if self.origins.get("workers", DEFAULT_ORIGIN) == DEFAULT_ORIGIN or f": {AUTO}, " in self.origins["workers"]:
            values["workers"] = workers = max(least, min(workers, most))  # nobody has said where to begin
        if not least <= workers <= most:
            found = f"workers_min={least} workers={workers} workers_max={most}"
            expected = "expected workers_min <= workers <= workers_max"
            raise ConfigError(f"workers_max: {expected}, got {found} (from {self._origin('workers_max')})")

    def _check_request_timeouts(self) -> None:
        values = self.values
        soft_s, hard_s, timeout = values["request_timeout"], values["request_timeout_hard"], values["timeout"]
        if 0 < hard_s < soft_s:
            text = f"expected 0, or no less than request_timeout, which is {soft_s:g}, got {hard_s:g}"
            raise ConfigError(f"request_timeout_hard: {text} (from {self._origin('request_timeout_hard')})")
        longest_s = max([soft_s, *values["request_timeout_paths"].values()])
        if values["worker_class"] == "sync" and 0 < timeout <= longest_s:
            self.notices.append(
                f"request_timeout: {longest_s:g} s are no less than timeout, {timeout} s, after which a sync worker is "
                "killed whose call is still running; cure: raise timeout above it, or use threads"
            )

    def _choose_replacement(self) -> None:
        """How workers are replaced."""
        values = self.values
        if values["reload_surge"] == values["reload_max_unavailable"] == 0:
            cure = "nothing could be replaced; set one of them to 1 or more"
            where = self._origin("reload_surge")
            raise ConfigError(f"reload_surge: 0 with a reload_max_unavailable of 0: {cure} (from {where})")
        if values["refork_after"]:
            where = self._origin("refork_after")
            if not values["preload_app"]:
                raise ConfigError(f"refork_after: needs preload_app (from {where})")
            if values["worker_class"] != "sync":
                kind = values["worker_class"]
                name = kind if isinstance(kind, str) else kind.__qualname__
                raise ConfigError(f"refork_after: needs sync workers, not {name}, which has threads (from {where})")
            self._keep_from_reforking(where)

    def _keep_from_reforking(self, where: str) -> None:
        """One that gave up rights can be no mold. No error: who reads the settings may not be who starts the server."""
        for name, server in (("user", os.geteuid()), ("group", os.getegid())):
            if self.values[name] not in (None, server):
                self.values["refork_after"] = ()
                why = "workers without the server's rights cannot become molds"
                cure = "start the server as who its workers are"
                self.notices.append(f"refork_after: has no effect with {name}: {why}; {cure} (from {where})")
                return

    def _choose_log_configuration(self) -> None:
        given = [name for name in _LOG_CONFIGURATIONS if self.values[name]]
        for name in given[1:]:
            self.notices.append(f"{name}: is not used, because {given[0]} is set; remove one of them")
        if given and given[0] != "logconfig_dict" and not os.path.isfile(self.values[given[0]]):
            raise self._error(given[0], "a file with a logging configuration", self.values[given[0]])

    def _check_files(self) -> None:
        for path in self.values["reload_extra_files"]:
            if not (_PATTERN_CHARACTERS & set(path) or os.path.exists(path)):
                raise self._error("reload_extra_files", "files that exist, or patterns", path)
        upload = self.values["tmp_upload_dir"]
        if upload is not None:
            if not os.path.isdir(upload):
                raise self._error("tmp_upload_dir", "a directory", upload)
            if not os.access(upload, os.W_OK | os.X_OK):
                origin = self._origin("tmp_upload_dir")
                raise ConfigError(f'tmp_upload_dir: cannot write in "{upload}": permission denied (from {origin})')

    def _check_tls(self) -> None:
        """Whether the settings go together, and their files are there; what is in these is looked at with OpenSSL."""
        certificate, key, hook = (self.values.get(name) for name in ("certfile", "keyfile", "ssl_context"))
        if certificate is None and key is None:
            if self.values["sni_certificates"]:
                cure = "set certfile too: the certificate of clients that ask for another name, or none"
                raise ConfigError(f"sni_certificates: TLS is off; {cure} (from {self._origin('sni_certificates')})")
            for name in ("ca_certs", "ciphers", "ssl_context"):
                if self.values.get(name) is not None:
                    self.notices.append(f"{name}: has no effect without certfile (from {self._origin(name)})")
            return
        if certificate is None and hook is None:
            raise ConfigError(f"keyfile: is of no use without certfile (from {self._origin('keyfile')})")
        for name in _TLS_FILES:
            self._check_pem(name, self.values[name])
        for pair in self.values["sni_certificates"].values():
            for path in pair:
                self._check_pem("sni_certificates", path)
        self._check_client_certificates()

    def _check_pem(self, name: str, path: str | None) -> None:
        if path is not None and (os.path.isdir(path) or not os.path.exists(path)):
            raise self._error(name, "a file in PEM", path)

    def _check_client_certificates(self) -> None:
        authorities, wanted = self.values["ca_certs"], self.values["cert_reqs"]
        if self.values.get("ssl_context") is not None:
            return  # it may do this in its own way
        if wanted and authorities is None:
            cure = "set ca_certs to the authorities that sign the certificates of clients"
            raise ConfigError(f"cert_reqs: nobody could be checked; {cure} (from {self._origin('cert_reqs')})")
        if authorities is not None and not wanted:
            origin = self._origin("ca_certs")
            self.notices.append(f"ca_certs: has no effect, because cert_reqs is 0 (from {origin})")

    def _tell_what_has_no_effect(self) -> None:
        for entry in ENTRIES:
            if entry.support is Support.UNUSED and entry.name in self.origins:
                self.notices.append(f"{entry.name}: has no effect: {entry.note} (from {self._origin(entry.name)})")
        for name, other, off in _NEEDS:
            if name in self.origins and self.values[other] == off:
                self.notices.append(f"{name}: has no effect without {other} (from {self._origin(name)})")
        if "proc_name" in self.origins and importlib.util.find_spec("setproctitle") is None:
            self.notices.append(
                "proc_name: has no effect: the package setproctitle is not installed; pip install ostler[setproctitle] "
                f"(from {self._origin('proc_name')})"
            )

    def _error(self, name: str, expected: str, path: str) -> ConfigError:
        found = "a directory" if os.path.isdir(path) else "a file" if os.path.exists(path) else "nothing there"
        return ConfigError(f'{name}: expected {expected}, got "{path}": {found} (from {self._origin(name)})')

    def _origin(self, name: str) -> str:
        return origin_phrase(self.origins.get(name, DEFAULT_ORIGIN))


def _under(base: str, path: str) -> str:
    return os.path.normpath(os.path.join(base, path))
