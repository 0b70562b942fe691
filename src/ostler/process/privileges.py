"""Becoming another user and group, for good. setuid(2), setgroups(2), credentials(7), user_namespaces(7).

Order: supplementary groups, group, user; afterwards the ids are read back. Other than Gunicorn:

- root's supplementary groups do not stay with the new user when `initgroups` is off (Gunicorn keeps them);
- `initgroups` sets the group too (Gunicorn leaves root's).

HOME and other variables stay as they are. The kernel forgets PR_SET_PDEATHSIG here (process/parent.py): set it again.

Rules for editing: numbers in, no look-up of names but the one that initgroups(3) needs.
"""

import os
import pwd
import sys
from contextlib import suppress
from typing import Final

from ostler.errors import OstlerError, reason_of

_CAP_SETGID: Final = 6
_CAP_SETUID: Final = 7

_getuid, _geteuid, _getgid, _getegid = os.getuid, os.geteuid, os.getgid, os.getegid
_setuid, _setgid = os.setuid, os.setgid
_getgroups, _setgroups, _initgroups = os.getgroups, os.setgroups, os.initgroups


class PrivilegesError(OstlerError):
    """This process cannot become the user or group that was asked for."""


def drop(uid: int, gid: int, initgroups: bool = False) -> None:
    """Be `uid` and `gid`, and nothing else of what this process was. Nothing happens when it is that already.

    initgroups: also be in the groups that the system's data base lists for the user; those of an id without a name are
    `gid` alone. Raises PrivilegesError; then the process must end, for it may be half of one and half of the other.
    """
    if _is_already(uid, gid) and not initgroups:
        return
    reason = can_become(uid, gid)
    if reason:
        raise PrivilegesError(reason)
    step = "groups"
    try:
        if initgroups or uid != _geteuid():
            _set_groups(uid, gid, initgroups)
        step = "group"
        _setgid(gid)
        step = "user"
        _setuid(uid)
    except OSError as error:
        raise PrivilegesError(
            f"{step}: cannot become uid {uid}, gid {gid}: {reason_of(error)}; "
            "in a container, grant CAP_SETUID and CAP_SETGID and map both ids"
        ) from error
    if not _is_already(uid, gid):
        raise PrivilegesError(f"user: expected to be uid {uid}, gid {gid}, am {_describe()}; the system did not do it")


def can_become(uid: int, gid: int) -> str:
    """Why `drop` would fail, as a sentence for the operator; empty when nothing speaks against it. Changes nothing."""
    may_uid = uid in (_getuid(), _geteuid()) or _has_capability(_CAP_SETUID)
    may_gid = gid in (_getgid(), _getegid()) or _has_capability(_CAP_SETGID)
    if may_uid and may_gid:
        return ""
    name, number = ("group", f"gid {gid}") if may_uid else ("user", f"uid {uid}")
    if _geteuid() == 0:
        return f"{name}: cannot become {number}: root lacks CAP_SETUID or CAP_SETGID here; grant them, or leave it out"
    return f"{name}: only root can become {number}, and this is {_describe()}; start as root, or leave it out"


def _set_groups(uid: int, gid: int, initgroups: bool) -> None:
    if initgroups:
        with suppress(KeyError):
            name = pwd.getpwuid(uid).pw_name
            if _has_capability(_CAP_SETGID):
                _initgroups(name, gid)
            return
    if set(_getgroups()) - {gid}:
        _setgroups([gid])


def _is_already(uid: int, gid: int) -> bool:
    """Real, effective and, where the system tells them, saved ids."""
    if sys.platform == "linux":
        return os.getresuid() == (uid,) * 3 and os.getresgid() == (gid,) * 3
    return (_getuid(), _geteuid(), _getgid(), _getegid()) == (uid, uid, gid, gid)


def _describe() -> str:
    return f"uid {_geteuid()}, gid {_getegid()}"


def _has_capability(number: int) -> bool:
    """capabilities(7), where there are any; root's word elsewhere."""
    with suppress(OSError, ValueError), open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(b"CapEff:"):
                return bool(int(line.split()[1], 16) >> number & 1)
    return _geteuid() == 0
