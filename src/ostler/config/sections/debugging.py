"""Chapter "Debugging": for development, and for checking a configuration."""

from ostler.config.parse import read_choice, read_texts
from ostler.config.sections.shapes import switch
from ostler.config.setting import FlagKind, ReloadEffect, Section, Setting, Takes

_ENGINES = ("auto", "poll", "inotify")

SETTINGS = (
    switch(
        "reload",
        Section.DEBUGGING,
        "--reload",
        "Restart the workers when a file of the loaded code changes. For development only.",
        reload=ReloadEffect.WORKERS,
    ),
    Setting(
        name="reload_engine",
        section=Section.DEBUGGING,
        flags=("--reload-engine",),
        metavar="ENGINE",
        read=read_choice(*_ENGINES),
        choices=_ENGINES,
        default="auto",
        reload=ReloadEffect.WORKERS,
        doc=(
            "How `reload` learns of changes: `poll` looks at each file once a second, `inotify` is told by the Linux "
            "kernel, `auto` takes `inotify` where it can be had. No package is needed."
        ),
    ),
    Setting(
        name="reload_extra_files",
        section=Section.DEBUGGING,
        flags=("--reload-extra-file",),
        kind=FlagKind.REPEAT,
        metavar="FILE",
        read=read_texts,
        default=(),
        default_text="none",
        takes=Takes.TEXTS,
        reload=ReloadEffect.WORKERS,
        doc=(
            "More files that `reload` watches: templates, data, configuration. A name with `*`, `?` or `[` is a "
            "pattern (`templates/**/*.html`) and is expanded anew at each look, so new files count. Relative ones "
            "start at `chdir`. A file that is named without a pattern must exist."
        ),
    ),
    switch(
        "spew",
        Section.DEBUGGING,
        "--spew",
        "Print every line of Python that is executed to stdout. Everything becomes very slow.",
        reload=ReloadEffect.WORKERS,
    ),
    switch(
        "check_config",
        Section.DEBUGGING,
        "--check-config",
        "Read the configuration, load the application and exit: 0 when all is well, 1 when it is not.",
        reload=ReloadEffect.RESTART,
    ),
    switch(
        "print_config",
        Section.DEBUGGING,
        "--print-config",
        "Print every value with where it came from, then do as `--check-config`.",
        reload=ReloadEffect.RESTART,
    ),
)
