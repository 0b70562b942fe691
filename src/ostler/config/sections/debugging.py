"""Chapter "Debugging": for development, and for checking a configuration."""

from ostler.config.parse import read_switch
from ostler.config.setting import FlagKind, ReloadEffect, Section, Setting

SETTINGS = (
    Setting(
        name="reload",
        section=Section.DEBUGGING,
        flags=("--reload",),
        kind=FlagKind.ON,
        read=read_switch,
        default=False,
        reload=ReloadEffect.WORKERS,
        doc="Restart the workers when a file of the loaded code changes. For development only.",
    ),
    Setting(
        name="check_config",
        section=Section.DEBUGGING,
        flags=("--check-config",),
        kind=FlagKind.ON,
        read=read_switch,
        default=False,
        reload=ReloadEffect.RESTART,
        doc="Read the configuration, load the application and exit: 0 when all is well, 1 when it is not.",
    ),
    Setting(
        name="print_config",
        section=Section.DEBUGGING,
        flags=("--print-config",),
        kind=FlagKind.ON,
        read=read_switch,
        default=False,
        reload=ReloadEffect.RESTART,
        doc="Print every value with where it came from, then do as `--check-config`.",
    ),
)
