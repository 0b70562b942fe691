"""Entries of the chapter "Server mechanics" about what stands between the client and us, and about requests.

Whom to believe, what they may say, and whether a body is collected before the application is called.
"""

from ostler.config.address import AllowList, parse_allow_list
from ostler.config.parse import BadValue, read_bool, read_choice, read_names, read_scheme_fields
from ostler.config.sections.shapes import LATER, Off, later
from ostler.config.setting import FlagKind, ReloadEffect, Section, Setting, Takes

_DEFAULT_PEERS = "127.0.0.1,::1"
_OFF_PEERS = Off(_DEFAULT_PEERS, "", "::1,127.0.0.1", "127.0.0.1")
_PROXY_PROTOCOL = f"the PROXY protocol is {LATER}"
_UWSGI = f"the uwsgi protocol is {LATER}"
_HEADER_MAPS = ("drop", "refuse", "dangerous")


def read_allow_list(raw: object) -> AllowList:
    """Text of addresses and networks; None is nobody."""
    if raw is None:
        return AllowList()
    if not isinstance(raw, str):
        raise BadValue('text of IP addresses or networks separated by commas, or "*"', raw)
    return parse_allow_list(raw)


SETTINGS = (
    Setting(
        name="secure_scheme_headers",
        section=Section.MECHANICS,
        read=read_scheme_fields,
        takes=Takes.TABLE,
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
        default=_DEFAULT_PEERS,
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
        read=read_choice(*_HEADER_MAPS),
        choices=_HEADER_MAPS,
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
        takes=Takes.SWITCH,
        default=True,
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
        doc=(
            "Collect a request's body before the application is called, so that a slow client never holds a worker. "
            "Off, the body streams to the application as it arrives."
        ),
    ),
    later(
        "proxy_protocol",
        Section.MECHANICS,
        _PROXY_PROTOCOL,
        read=Off("off", False, "false", "0", "none"),
        flags=("--proxy-protocol",),
        kind=FlagKind.OPTIONAL,
        metavar="MODE",
        takes=Takes.SWITCH_OR_TEXT,
        choices=("off", "v1", "v2", "auto"),
    ),
    later("proxy_allow_ips", Section.MECHANICS, _PROXY_PROTOCOL, read=_OFF_PEERS, flags=("--proxy-allow-from",)),
    later("protocol", Section.MECHANICS, _UWSGI, read=Off("http"), flags=("--protocol",)),
    later("uwsgi_allow_ips", Section.MECHANICS, _UWSGI, read=_OFF_PEERS, flags=("--uwsgi-allow-from",)),
)
