"""Entries of the chapter "Server mechanics" about what stands between the client and us, and about requests.

Whom to believe, what they may say and in which protocol, and whether a body is collected before the application is
called.
"""

from ostler.config.address import AllowList, parse_allow_list
from ostler.config.parse import BadValue, read_bool, read_choice, read_integer, read_names, read_scheme_fields
from ostler.config.setting import FlagKind, ReloadEffect, Section, Setting, Support, Takes

_DEFAULT_PEERS = "127.0.0.1,::1"
_HEADER_MAPS = ("drop", "refuse", "dangerous")
_REMOTE_ADDR_SOURCES = ("peer", "x-forwarded-for", "forwarded")
_PROXY_MODES = {
    "off": "off",
    "false": "off",
    "0": "off",
    "none": "off",
    "v1": "v1",
    "v2": "v2",
    "auto": "auto",
    "true": "auto",
    "1": "auto",
}
_PROTOCOLS = ("http", "uwsgi")

_read_hop_count = read_integer(1)


def read_allow_list(raw: object) -> AllowList:
    """Text of addresses and networks; None is nobody."""
    if raw is None:
        return AllowList()
    if not isinstance(raw, str):
        raise BadValue('text of IP addresses or networks separated by commas, or "*"', raw)
    return parse_allow_list(raw)


def read_trusted_hops(raw: object) -> int | AllowList:
    """How many proxies there are, or the networks that they are in."""
    expected = "a number of proxies of 1 or more, or IP addresses and networks separated by commas"
    text = raw.strip() if isinstance(raw, str) else raw
    if text == "" or isinstance(text, bool):
        raise BadValue(expected, raw)
    try:
        if not isinstance(text, str) or text.lstrip("+-").isdigit():
            return _read_hop_count(text)
        networks = parse_allow_list(text)
    except BadValue as error:
        raise BadValue(expected, raw, error.cure) from None
    if networks.everybody or not networks.networks:
        raise BadValue(expected, raw, "believing every hop, a client can be anybody; say how many proxies there are")
    return networks


def read_proxy_mode(raw: object) -> str:
    """off, v1, v2 or auto, in Gunicorn's spellings: True is auto; False and None are off."""
    if raw is None or isinstance(raw, bool):
        return "auto" if raw else "off"
    word = raw.strip().lower() if isinstance(raw, str) else ""
    if word not in _PROXY_MODES:
        raise BadValue("off, v1, v2 or auto", raw)
    return _PROXY_MODES[word]


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
            "or `*`. Peers on Unix sockets are always believed. On a connection whose PROXY header names another "
            "source, nobody is believed by default: there it has to be set."
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
    Setting(
        name="remote_addr_from",
        section=Section.MECHANICS,
        flags=("--remote-addr-from",),
        metavar="SOURCE",
        read=read_choice(*_REMOTE_ADDR_SOURCES),
        choices=_REMOTE_ADDR_SOURCES,
        default="peer",
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
        doc=(
            "Where `REMOTE_ADDR` comes from: the connection (`peer`, as in Gunicorn), or the field in which trusted "
            "proxies name their clients, `x-forwarded-for` or `forwarded` (RFC 7239). Only peers in "
            "`forwarded_allow_ips` are believed, and `trusted_hops` says how far. The peer itself is then in "
            "`ostler.peer_addr` and `ostler.peer_port`. `forwarded` also takes the scheme from `proto`."
        ),
    ),
    Setting(
        name="trusted_hops",
        section=Section.MECHANICS,
        flags=("--trusted-hops",),
        metavar="HOPS",
        read=read_trusted_hops,
        takes=Takes.INTEGER_OR_TEXT,
        default=1,
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
        doc=(
            "How far back `remote_addr_from` believes what proxies say: how many proxies there are, the peer being the "
            "first, or the networks that they are in (`10.0.0.0/8,192.0.2.7`). With networks, the client is the first "
            "address from the right that is in none of them."
        ),
    ),
    Setting(
        name="proxy_protocol",
        section=Section.MECHANICS,
        flags=("--proxy-protocol",),
        kind=FlagKind.OPTIONAL,
        metavar="MODE",
        read=read_proxy_mode,
        takes=Takes.SWITCH_OR_TEXT,
        choices=tuple(_PROXY_MODES),
        default="off",
        reload=ReloadEffect.WORKERS,
        support=Support.DIFFERS,
        note=(
            "strict: a peer in `proxy_allow_ips` must send a header, as the specification wants it; Gunicorn takes "
            "connections with and without one from any peer that is in the list"
        ),
        doc=(
            "Read HAProxy's PROXY header before a connection's first request: version 1 (text), 2 (binary) or both "
            "(`auto`, which is also what the flag alone means). `REMOTE_ADDR` and `REMOTE_PORT` are then what the "
            "header says. Peers in `proxy_allow_ips` must send it; of others it is refused, and their plain requests "
            "are served."
        ),
    ),
    Setting(
        name="proxy_allow_ips",
        section=Section.MECHANICS,
        flags=("--proxy-allow-from",),
        metavar="IPS",
        read=read_allow_list,
        default=_DEFAULT_PEERS,
        reload=ReloadEffect.WORKERS,
        support=Support.DIFFERS,
        note="whoever is in it must send a header, with `*` everybody",
        doc=(
            "The peers that send a PROXY header: addresses and networks separated by commas, or `*`. Peers on Unix "
            "sockets always do. Without `proxy_protocol` it means nothing."
        ),
    ),
    Setting(
        name="protocol",
        section=Section.MECHANICS,
        flags=("--protocol",),
        metavar="NAME",
        read=read_choice(*_PROTOCOLS),
        choices=_PROTOCOLS,
        default="http",
        reload=ReloadEffect.WORKERS,
        support=Support.DIFFERS,
        note=(
            "uwsgi packets are read as strictly as HTTP, their parameters reach the environ, and a connection carries "
            "one request"
        ),
        doc="What is spoken on all listeners: `http`, or `uwsgi`, the protocol of Nginx's `uwsgi_pass`.",
    ),
    Setting(
        name="uwsgi_allow_ips",
        section=Section.MECHANICS,
        flags=("--uwsgi-allow-from",),
        metavar="IPS",
        read=read_allow_list,
        default=_DEFAULT_PEERS,
        reload=ReloadEffect.WORKERS,
        doc=(
            "The peers that may speak uwsgi: addresses and networks separated by commas, or `*`. Peers on Unix "
            "sockets always may. Whoever may says who the client is, so let nobody else in."
        ),
    ),
)
