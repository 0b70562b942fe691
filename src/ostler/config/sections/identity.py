"""Entries of the chapter "Server mechanics" about who the workers are: user, group, umask.

Names are looked up when the configuration is read, so that a wrong one is found at the start. None is the user or group
that the server was started as, which `settings.py` fills in.
"""

import grp
import pwd
from collections.abc import Callable

from ostler.config.parse import BadValue, read_mode
from ostler.config.sections.shapes import switch
from ostler.config.setting import ReloadEffect, Section, Setting, Support, Takes

_MOST = 2**32 - 2  # the last number stands for "no change" in chown(2) and setresuid(2)


def read_user(raw: object) -> int | None:
    """A user by number or name; the result is the number. None is the user of the server."""
    return _read_id(raw, "user", lambda name: pwd.getpwnam(name).pw_uid)


def read_group(raw: object) -> int | None:
    """A group by number or name; the result is the number. None is the group of the server."""
    return _read_id(raw, "group", lambda name: grp.getgrnam(name).gr_gid)


def _read_id(raw: object, kind: str, look_up: Callable[[str], int]) -> int | None:
    expected = f"the name or number of a {kind}"
    if raw is None:
        return None
    text = raw.strip() if isinstance(raw, str) else ""
    if text and not text.isdecimal():
        try:
            return look_up(text)
        except (KeyError, ValueError):
            raise BadValue(expected, raw, f"this system has no such {kind}") from None
    number = int(text) if text else raw
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= _MOST:
        return int(number)
    raise BadValue(expected, raw)


SETTINGS = (
    Setting(
        name="user",
        section=Section.MECHANICS,
        flags=("-u", "--user"),
        metavar="USER",
        read=read_user,
        default=None,
        default_text="the user that starts the server",
        takes=Takes.INTEGER_OR_TEXT,
        reload=ReloadEffect.WORKERS,
        support=Support.DIFFERS,
        note="root's supplementary groups do not stay with the workers",
        doc=(
            "The user that workers run as, by name or number. Only root can change it. The master keeps its own user, "
            "so it can open ports below 1024 and log files that the workers could not."
        ),
    ),
    Setting(
        name="group",
        section=Section.MECHANICS,
        flags=("-g", "--group"),
        metavar="GROUP",
        read=read_group,
        default=None,
        default_text="the group that starts the server",
        takes=Takes.INTEGER_OR_TEXT,
        reload=ReloadEffect.WORKERS,
        doc="The group that workers run as, by name or number.",
    ),
    switch(
        "initgroups",
        Section.MECHANICS,
        "--initgroups",
        "Give the workers all groups of `user`, as a login does, and not only `group`.",
        reload=ReloadEffect.WORKERS,
        support=Support.DIFFERS,
        note="the group is set too, where Gunicorn leaves root's",
    ),
    Setting(
        name="umask",
        section=Section.MECHANICS,
        flags=("-m", "--umask"),
        metavar="INT",
        read=read_mode,
        default=0,
        takes=Takes.INTEGER_OR_TEXT,
        reload=ReloadEffect.LISTENERS,
        doc=(
            "The permission bits that files of Unix sockets do not get; what the application makes is not touched. A "
            "socket that is kept at a reload keeps its mode. An integer (`0o022`) or text, octal when it begins with a "
            'zero (`"022"`, `"0o22"`); `22` is decimal.'
        ),
    ),
)
