"""The table: one entry per setting, all of Gunicorn's and ours; one file per chapter of the reference or part of one.

Order within a chapter is the order of the reference. `TABLE` holds the settings, `HOOKS` the user's callables,
`ENTRIES` both. Entries that do not act (`Setting.acts`) are of features to come, or mean nothing here. A new setting is
one entry here and one attribute of `Settings`.
"""

from ostler.config.sections import (
    asgi,
    config_file,
    control,
    deadlines,
    debugging,
    dirty,
    hooks,
    http2,
    identity,
    load,
    logs,
    logsetup,
    mechanics,
    naming,
    proxies,
    reloads,
    remote,
    rotation,
    security,
    server_socket,
    tls,
    websocket,
    workers,
)
from ostler.config.setting import Setting

TABLE: tuple[Setting, ...] = (
    *config_file.SETTINGS,
    *server_socket.SETTINGS,
    *workers.SETTINGS,
    *load.SETTINGS,
    *asgi.SETTINGS,
    *websocket.SETTINGS,
    *reloads.SETTINGS,
    *mechanics.SETTINGS,
    *identity.SETTINGS,
    *proxies.SETTINGS,
    *security.SETTINGS,
    *deadlines.SETTINGS,
    *tls.SETTINGS,
    *http2.SETTINGS,
    *logs.SETTINGS,
    *rotation.SETTINGS,
    *logsetup.SETTINGS,
    *remote.SETTINGS,
    *naming.SETTINGS,
    *debugging.SETTINGS,
    *control.SETTINGS,
    *dirty.SETTINGS,
)
HOOKS: tuple[Setting, ...] = hooks.SETTINGS
ENTRIES: tuple[Setting, ...] = TABLE + HOOKS
