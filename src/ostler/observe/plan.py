"""`LogPlan`: what the logs of a generation shall be. Equal plans share their `Logs` across a reload.

Rules for editing: plain values, files of `logconfig` already read, so that equal means the same effect.
"""

import os
from dataclasses import dataclass

from ostler.config.address import SyslogAddress
from ostler.config.settings import Settings
from ostler.observe.logconfig import LogConfig
from ostler.observe.rotation import Rotation


@dataclass(frozen=True, slots=True)
class SyslogPlan:
    """prefix: of `gunicorn.<prefix>.error`. access: whether the access log goes there too."""

    address: SyslogAddress
    prefix: str
    facility: str
    access: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPlan:
    """errorlog, accesslog: a path, or "-" for stderr and stdout; accesslog None: no such file.

    owner: (uid, gid) of files that are made. logger_class: as in the settings; only compared.
    """

    errorlog: str = "-"
    accesslog: str | None = None
    loglevel: str = "info"
    capture_output: bool = False
    error_json: bool = False
    access_format: str = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
    access_skip: tuple[str, ...] = ()
    rotation: Rotation | None = None
    owner: tuple[int, int] | None = None
    logconfig: LogConfig | None = None
    syslog: SyslogPlan | None = None
    logger_class: object = None

    @classmethod
    def of(cls, settings: Settings) -> "LogPlan":
        """Raises ConfigError: a file of `logconfig` cannot be read."""
        rotation = Rotation(settings.log_rotate_size, settings.log_rotate_interval, settings.log_rotate_keep)
        owner = (settings.user, settings.group)
        syslog = SyslogPlan(
            address=settings.syslog_addr,
            prefix=settings.syslog_prefix or settings.proc_name.replace(":", "."),
            facility=settings.syslog_facility,
            access=not settings.disable_redirect_access_to_syslog,
        )
        return cls(
            errorlog=settings.errorlog,
            accesslog=settings.accesslog,
            loglevel=settings.loglevel,
            capture_output=settings.capture_output,
            error_json=settings.error_log_json,
            access_format=settings.access_log_format,
            access_skip=settings.access_log_skip,
            rotation=rotation if rotation.on else None,
            owner=None if owner == (os.geteuid(), os.getegid()) else owner,
            logconfig=LogConfig.of(settings.logconfig, settings.logconfig_dict, settings.logconfig_json),
            syslog=syslog if settings.syslog else None,
            logger_class=settings.logger_class,
        )

    @property
    def captures(self) -> bool:
        """Output cannot be captured by itself."""
        return self.capture_output and self.errorlog != "-"

    @property
    def has_access_log(self) -> bool:
        """Gunicorn's rule: somewhere an access line may be wanted."""
        return (
            self.accesslog is not None
            or self.logconfig is not None
            or (self.syslog is not None and self.syslog.access)
        )
