"""The table: one entry per setting, one file per chapter of the reference. Order here is the order of the reference.

`TABLE` holds the settings, `HOOKS` the user's callables; Gunicorn's settings that are not here are in `refused.py`.
A new setting is one entry here and one attribute of `Settings`.
"""

from ostler.config.sections import config_file, debugging, hooks, logs, mechanics, security, server_socket, workers
from ostler.config.setting import Setting

TABLE: tuple[Setting, ...] = (
    *config_file.SETTINGS,
    *server_socket.SETTINGS,
    *workers.SETTINGS,
    *mechanics.SETTINGS,
    *security.SETTINGS,
    *logs.SETTINGS,
    *debugging.SETTINGS,
)
HOOKS: tuple[Setting, ...] = hooks.SETTINGS
ENTRIES: tuple[Setting, ...] = TABLE + HOOKS
