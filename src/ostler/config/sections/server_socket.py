"""Chapter "Server socket": where to listen."""

from ostler.config.address import Address, parse_address
from ostler.config.parse import BadValue, read_integer
from ostler.config.sections.shapes import switch
from ostler.config.setting import FlagKind, ReloadEffect, Section, Setting, Support, Takes


def read_bind(raw: object) -> tuple[Address, ...]:
    """One address, several separated by commas, or a list of such texts."""
    texts = [raw] if isinstance(raw, str) else raw
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise BadValue("an address or a list of addresses", raw)
    addresses = tuple(parse_address(part) for text in texts for part in text.split(","))
    if not addresses:
        raise BadValue("at least one address", raw)
    return addresses


def _from_port(text: str) -> str:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise BadValue("a port number from 0 to 65535", text)
    return f"0.0.0.0:{text}"


SETTINGS = (
    Setting(
        name="bind",
        section=Section.SERVER_SOCKET,
        flags=("-b", "--bind"),
        kind=FlagKind.REPEAT,
        metavar="ADDRESS",
        read=read_bind,
        takes=Takes.TEXTS,
        default="127.0.0.1:8000",
        env="PORT",
        from_env=_from_port,
        reload=ReloadEffect.LISTENERS,
        support=Support.DIFFERS,
        note="`unix:@NAME` is an abstract socket, not a file of that name; entries beside `fd://` count too",
        doc=(
            "The addresses to listen on: `HOST:PORT`, `HOST`, `:PORT`, `[IPV6]:PORT`, `tcp://HOST:PORT` or "
            "`unix:PATH`; `unix:@NAME` for an abstract socket of Linux; `fd://N` for a listening socket that was "
            "inherited as descriptor N, `fd://NAME` for systemd's of that name. Several are given by repeating the "
            "flag, by commas, or as a list in the file. When `PORT` is set in the environment the default is "
            "`0.0.0.0:$PORT`. A relative path of a Unix socket starts at `chdir`. Sockets that systemd passes "
            "(`LISTEN_FDS`) replace all that."
        ),
    ),
    Setting(
        name="backlog",
        section=Section.SERVER_SOCKET,
        flags=("--backlog",),
        metavar="INT",
        takes=Takes.INTEGER,
        least=0,
        read=read_integer(),
        default=2048,
        reload=ReloadEffect.LISTENERS,
        doc=(
            "How many connections the kernel may hold for each listening socket before a worker accepts them. "
            "Further ones wait or are refused; the kernel's own limit (`net.core.somaxconn`) caps it."
        ),
    ),
    switch(
        "reuse_port",
        Section.SERVER_SOCKET,
        "--reuse-port",
        "Give each worker a listening socket of its own (SO_REUSEPORT). The kernel then spreads new connections "
        "evenly, and blindly: also to a worker that is busy. The master owns the sockets: none dies with its worker.",
        reload=ReloadEffect.RESTART,
    ),
)
