"""Chapter "Logging": where the logs go and what they say."""

from ostler.config.parse import read_choice, read_log_target, read_optional_log_target, read_switch, read_text
from ostler.config.setting import FlagKind, ReloadEffect, Section, Setting

SETTINGS = (
    Setting(
        name="accesslog",
        section=Section.LOGGING,
        flags=("--access-logfile",),
        metavar="FILE",
        read=read_optional_log_target,
        default=None,
        default_text="none",
        reload=ReloadEffect.WORKERS,
        doc="The access log: a file, or `-` for stdout. Unset, there is none. USR1 opens it anew.",
    ),
    Setting(
        name="access_log_format",
        section=Section.LOGGING,
        flags=("--access-logformat",),
        metavar="FORMAT",
        read=read_text,
        default='%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
        reload=ReloadEffect.WORKERS,
        doc="The line of the access log, in Gunicorn's atoms `%(x)s`, `%({field}i)s`, `%({field}o)s`, `%({name}e)s`.",
    ),
    Setting(
        name="errorlog",
        section=Section.LOGGING,
        flags=("--error-logfile", "--log-file"),
        metavar="FILE",
        read=read_log_target,
        default="-",
        reload=ReloadEffect.MASTER,
        doc="The error log: a file, or `-` for stderr. USR1 opens it anew.",
    ),
    Setting(
        name="loglevel",
        section=Section.LOGGING,
        flags=("--log-level",),
        metavar="LEVEL",
        read=read_choice("debug", "info", "warning", "error", "critical"),
        default="info",
        reload=ReloadEffect.MASTER,
        doc="The least level that the error log shows: `debug`, `info`, `warning`, `error` or `critical`.",
    ),
    Setting(
        name="capture_output",
        section=Section.LOGGING,
        flags=("--capture-output",),
        kind=FlagKind.ON,
        read=read_switch,
        default=False,
        reload=ReloadEffect.MASTER,
        doc="Send what is written to stdout and stderr to the error log.",
    ),
)
