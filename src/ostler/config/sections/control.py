"""Chapter "Control": the operator's socket as a file, for `gunicornc` and whoever cannot use its abstract name."""

from ostler.config.parse import read_mode, read_path_if_any
from ostler.config.sections.shapes import switch
from ostler.config.setting import ReloadEffect, Section, Setting, Support, Takes

SETTINGS = (
    Setting(
        name="control_socket",
        section=Section.CONTROL,
        flags=("--control-socket",),
        metavar="PATH",
        read=read_path_if_any,
        default=None,
        default_text="`$XDG_RUNTIME_DIR/gunicorn.ctl`, else `~/.gunicorn/gunicorn.ctl`",
        reload=ReloadEffect.RESTART,
        support=Support.DIFFERS,
        note=(
            "another server's socket is never taken over, a default path that cannot be used is no error, and no "
            "thread serves it"
        ),
        doc=(
            "The Unix socket on which `gunicornc`, `ostler control` and the commands such as `ostler status` reach the "
            "master. A relative path starts at `chdir`; directories that are missing are made with mode 0700. Where "
            "the default path cannot be used (no home, a read-only file system, another server has it) the server "
            "does without, and is still found by its pid; a path that was asked for and cannot be used is a warning."
        ),
    ),
    Setting(
        name="control_socket_mode",
        section=Section.CONTROL,
        flags=("--control-socket-mode",),
        metavar="INT",
        read=read_mode,
        default=0o600,
        default_text="`0o600`",
        takes=Takes.INTEGER_OR_TEXT,
        reload=ReloadEffect.RESTART,
        support=Support.DIFFERS,
        note="root and the server's own user are always heard; others only on this file, and only by a mode wider "
        "than 0600",
        doc=(
            "The file mode of the control socket. Whoever it lets connect may give every command: `0o660` is for the "
            "file's group. With the default only root and the user that the master runs as are heard."
        ),
    ),
    switch(
        "control_socket_disable",
        Section.CONTROL,
        "--no-control-socket",
        "Open no control socket in the file system. Root and the server's own user still reach the master by its pid.",
        reload=ReloadEffect.RESTART,
        support=Support.DIFFERS,
        note="the abstract socket that `ostler reload PID` uses stays",
    ),
)
