"""Chapter "Server mechanics": directories, proxies in front, buffering."""

from ostler.config.address import AllowList, parse_allow_list
from ostler.config.parse import (
    BadValue,
    read_bool,
    read_choice,
    read_list,
    read_names,
    read_path,
    read_scheme_fields,
)
from ostler.config.setting import FlagKind, ReloadEffect, Section, Setting


def read_allow_list(raw: object) -> AllowList:
    """Text of addresses and networks; None is nobody."""
    if raw is None:
        return AllowList()
    if not isinstance(raw, str):
        raise BadValue('text of IP addresses or networks separated by commas, or "*"', raw)
    return parse_allow_list(raw)


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
        name="secure_scheme_headers",
        section=Section.MECHANICS,
        read=read_scheme_fields,
        default={"X-FORWARDED-PROTOCOL": "ssl", "X-FORWARDED-PROTO": "https", "X-FORWARDED-SSL": "on"},
        reload=ReloadEffect.WORKERS,
        doc=(
            "Fields, and their values, by which a trusted proxy says that the client came by https. Only peers in "
            "`forwarded_allow_ips` are believed."
        ),
    ),
    Setting(
        name="forwarded_allow_ips",
        section=Section.MECHANICS,
        flags=("--forwarded-allow-ips",),
        metavar="IPS",
        read=read_allow_list,
        default="127.0.0.1,::1",
        env="FORWARDED_ALLOW_IPS",
        reload=ReloadEffect.WORKERS,
        doc=(
            "Proxies whose forwarded fields are believed: addresses and networks (`10.0.0.0/8`) separated by commas, "
            "or `*`. Peers on Unix sockets are always believed."
        ),
    ),
    Setting(
        name="forwarder_headers",
        section=Section.MECHANICS,
        flags=("--forwarder-headers",),
        metavar="NAMES",
        read=read_names,
        default="SCRIPT_NAME,PATH_INFO",
        reload=ReloadEffect.WORKERS,
        doc="Fields that a trusted proxy may put into the environ although their names contain an underscore.",
    ),
    Setting(
        name="header_map",
        section=Section.MECHANICS,
        flags=("--header-map",),
        metavar="MODE",
        read=read_choice("drop", "refuse", "dangerous"),
        default="drop",
        reload=ReloadEffect.WORKERS,
        doc=(
            "What to do with a field whose name contains an underscore: `drop` it, `refuse` the request, or map it "
            "like the field with hyphens (`dangerous`: an application cannot tell the two apart)."
        ),
    ),
    Setting(
        name="request_buffering",
        section=Section.MECHANICS,
        flags=("--no-request-buffering",),
        kind=FlagKind.OFF,
        read=read_bool,
        default=True,
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
        doc=(
            "Collect a request's body before the application is called, so that a slow client never holds a worker. "
            "Off, the body streams to the application as it arrives."
        ),
    ),
)
