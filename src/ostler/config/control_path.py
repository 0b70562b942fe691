"""Where the control socket is unless `control_socket` says so: the rule of Gunicorn's `gunicornc`, which looks there.

    $XDG_RUNTIME_DIR/gunicorn.ctl    where that directory is there (systemd makes it for users that log in)
    ~/.gunicorn/gunicorn.ctl         else; of a user without a home, nowhere

Rules for editing: server and commands find the same path from their environment alone; nothing is made here.
"""

import os
from collections.abc import Mapping
from typing import Final

_NAME: Final = "gunicorn.ctl"
_FOLDER: Final = ".gunicorn"


def default_control_socket(environ: Mapping[str, str]) -> str | None:
    """An absolute path, or None where there is no place for it."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and os.path.isdir(runtime):
        return os.path.join(runtime, _NAME)
    home = environ.get("HOME") or os.path.expanduser("~")  # without HOME, what the user database says
    if not os.path.isabs(home) or not os.path.isdir(home):
        return None
    return os.path.join(home, _FOLDER, _NAME)
