"""Chapter "Server mechanics": directories, environment, the process. More: `identity.py` and `proxies.py`."""

import re

from ostler.config.parse import BadValue, read_list, read_path, read_path_if_any, read_switch, read_texts
from ostler.config.sections.shapes import LATER, switch
from ostler.config.setting import FlagKind, ReloadEffect, Section, Setting, Support, Takes


def read_environment(raw: object) -> tuple[str, ...]:
    """`KEY=VALUE`, or a list of such texts; the value is kept to the letter."""
    return _assignments(raw, "=")


def read_paste_globals(raw: object) -> tuple[str, ...]:
    """As `read_environment`; an equals sign of the key is written with a backslash before it."""
    return _assignments(raw, r"(?<!\\)=")


def _assignments(raw: object, separator: str) -> tuple[str, ...]:
    texts = read_texts(raw)
    for text in texts:
        parts = re.split(separator, text, maxsplit=1)
        if len(parts) < 2 or not parts[0] or "\0" in text:
            raise BadValue("KEY=VALUE", text)
    return texts


def read_sendfile(raw: object) -> bool:
    """As `read_switch`, but None is unset, and unset is on."""
    return True if raw is None else read_switch(raw)


def _from_sendfile(text: str) -> bool:
    return text.lower() in ("y", "1", "yes", "true")


_PRELOAD = f"loading the application before the fork is {LATER}"

SETTINGS = (
    Setting(
        name="chdir",
        section=Section.MECHANICS,
        flags=("--chdir",),
        metavar="DIR",
        read=read_path,
        default=".",
        default_text="the directory where the server was started",
        reload=ReloadEffect.WORKERS,
        doc=(
            "The directory to work in; it is on `sys.path`. Configuration files are looked for, and run, in the "
            "directory where the server was started. Symbolic links are followed anew at each reload."
        ),
    ),
    Setting(
        name="pythonpath",
        section=Section.MECHANICS,
        flags=("--pythonpath",),
        metavar="DIRS",
        read=read_list,
        default="",
        default_text="none",
        reload=ReloadEffect.WORKERS,
        doc="Directories, separated by commas, to put on `sys.path`. As in Gunicorn the last one is searched first.",
    ),
    Setting(
        name="raw_env",
        section=Section.MECHANICS,
        flags=("-e", "--env"),
        kind=FlagKind.REPEAT,
        metavar="KEY=VALUE",
        read=read_environment,
        default=(),
        default_text="none",
        takes=Takes.TEXTS,
        reload=ReloadEffect.WORKERS,
        doc=(
            "Variables to set in the environment, as `KEY=VALUE`; the application finds them in `os.environ`. A list "
            "in the file, or the flag several times. A later one of the same name wins."
        ),
    ),
    switch(
        "daemon",
        Section.MECHANICS,
        "--daemon",
        "Leave the terminal and run in the background. Under systemd, Docker or supervisord it must stay off.",
        flags=("-D", "--daemon"),
        reload=ReloadEffect.RESTART,
    ),
    switch(
        "enable_stdio_inheritance",
        Section.MECHANICS,
        "--enable-stdio-inheritance",
        "Keep stdin, stdout and stderr when `daemon` is set; they become the null device otherwise.",
        flags=("-R", "--enable-stdio-inheritance"),
        reload=ReloadEffect.RESTART,
    ),
    Setting(
        name="pidfile",
        section=Section.MECHANICS,
        flags=("-p", "--pid"),
        metavar="FILE",
        read=read_path_if_any,
        default=None,
        default_text="none",
        reload=ReloadEffect.MASTER,
        doc=(
            "A file for the master's process id. The server does not start when the file names a live process, and "
            "replaces it when that is dead. A relative path starts at `chdir`."
        ),
    ),
    Setting(
        name="sendfile",
        section=Section.MECHANICS,
        flags=("--no-sendfile",),
        kind=FlagKind.OFF,
        read=read_sendfile,
        default=True,
        env="SENDFILE",
        from_env=_from_sendfile,
        takes=Takes.SWITCH,
        reload=ReloadEffect.WORKERS,
        support=Support.DIFFERS,
        note="`sendfile = True` in a file turns it on; Gunicorn takes any value there for off",
        doc=(
            "Send files that the application returns through `wsgi.file_wrapper` with sendfile(2), which copies "
            "nothing. The variable turns it on with `y`, `1`, `yes` or `true` and off with anything else."
        ),
    ),
    Setting(
        name="tmp_upload_dir",
        section=Section.MECHANICS,
        read=read_path_if_any,
        default=None,
        default_text="the system's directory for temporary files (`TMPDIR`)",
        reload=ReloadEffect.WORKERS,
        support=Support.DIFFERS,
        note="it acts: bodies too large for memory are kept there; in Gunicorn nothing reads it",
        doc=(
            "The directory for request bodies that are too large for memory while they are collected. The files have "
            "no name and are gone with the request. Workers must be able to write there."
        ),
    ),
    Setting(
        name="worker_tmp_dir",
        section=Section.MECHANICS,
        flags=("--worker-tmp-dir",),
        metavar="DIR",
        read=read_path_if_any,
        default=None,
        default_text="none",
        reload=ReloadEffect.WORKERS,
        support=Support.UNUSED,
        note="the heartbeat of a worker is in shared memory; there is no file to keep off a slow disk",
        doc="Without meaning here: there is no heartbeat file. Accepted with one info line.",
    ),
    Setting(
        name="paste",
        section=Section.MECHANICS,
        flags=("--paste", "--paster"),
        metavar="FILE",
        read=read_path_if_any,
        default=None,
        default_text="none",
        reload=ReloadEffect.WORKERS,
        support=Support.DIFFERS,
        note="the file's section `[server:main]` is read too, as `pserve` does",
        doc=(
            "Load the application from a PasteDeploy file, `FILE` or `FILE#NAME`, instead of APP. It needs the package "
            "PasteDeploy. A relative path starts where the server was started. Settings in a section `[server:main]` "
            "that uses `egg:ostler#main` or `egg:gunicorn#main` count, below those of the configuration file. If the "
            "file has a section `[loggers]`, it is the default of `logconfig`."
        ),
    ),
    Setting(
        name="raw_paste_global_conf",
        section=Section.MECHANICS,
        flags=("--paste-global",),
        kind=FlagKind.REPEAT,
        metavar="KEY=VALUE",
        read=read_paste_globals,
        default=(),
        default_text="none",
        takes=Takes.TEXTS,
        reload=ReloadEffect.WORKERS,
        doc="A variable for the PasteDeploy file. An equals sign in the key is written `\\=`.",
    ),
)
