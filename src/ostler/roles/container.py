"""What the log says when a container, or another narrow place, ends the server too early, not at all, or has it do
without something.

Rules for editing: what ends service or a promise is a warning, with its cure; what only costs speed is news. Nothing is
made or written to find out.
"""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Final

from ostler.config.settings import Settings
from ostler.logline import fields
from ostler.process import proc_files
from ostler.process.pid_one import is_pid_one, shell_above

# Where tempfile looks (the library's reference, tempfile.tempdir).
_VARIABLES: Final = ("TMPDIR", "TEMP", "TMP")
_PLACES: Final = ("/tmp", "/var/tmp", "/usr/tmp")


def tell_of_container(log: logging.Logger, settings: Settings, environ: Mapping[str, str]) -> None:
    """In the master, before anything is forked."""
    if settings.daemon and is_pid_one():
        text = "daemon is ignored: this is PID 1, and the container would end with the command that was typed"
        log.warning("%s", fields(text, cure="leave daemon off in containers"))
    shell = shell_above()
    if shell is not None:
        text = "the parent is a shell and PID 1, which does not pass TERM on: a stop of the container will be a kill"
        cure = "start ostler by exec, or in the exec form: CMD ['ostler', 'app:app']"
        log.warning("%s", fields(text, shell=shell, cure=cure))
    if not _has_proc():
        _tell_without_proc(log, settings)
    if not any(map(_takes_files, _directories(settings, environ))):
        text = "no directory takes temporary files: large bodies stream, and a slow reader may hold its thread"
        log.info("%s", fields(text, cure="mount a tmpfs on /tmp, or set tmp_upload_dir"))


def _tell_without_proc(log: logging.Logger, settings: Settings) -> None:
    if settings.max_worker_memory:
        text = "there is no /proc of this PID namespace, so max_worker_memory cannot be kept"
        log.warning("%s", fields(text, cure="mount proc"))
    else:
        text = "there is no /proc of this PID namespace: the log says less about workers that hang or die"
        log.info("%s", fields(text, cure="mount proc"))


def _has_proc() -> bool:
    return not sys.platform.startswith("linux") or proc_files.are_ours()  # other systems have none at all


def _directories(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    if settings.tmp_upload_dir:
        yield settings.tmp_upload_dir
        return
    yield from (environ[name] for name in _VARIABLES if environ.get(name))
    yield from _PLACES
    yield os.curdir


def _takes_files(directory: str) -> bool:
    return os.path.isdir(directory) and os.access(directory, os.W_OK | os.X_OK)
