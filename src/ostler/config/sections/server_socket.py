"""Chapter "Server socket": where to listen."""

from ostler.config.address import Address, parse_address
from ostler.config.parse import BadValue, read_integer
from ostler.config.setting import FlagKind, ReloadEffect, Section, Setting


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
        default="127.0.0.1:8000",
        env="PORT",
        from_env=_from_port,
        reload=ReloadEffect.LISTENERS,
        doc=(
            "The addresses to listen on: `HOST:PORT`, `HOST`, `:PORT`, `[IPV6]:PORT`, `tcp://HOST:PORT` or "
            "`unix:PATH`. Several are given by repeating the flag, by commas, or as a list in the file. When `PORT` "
            "is set in the environment the default is `0.0.0.0:$PORT`. A relative path of a Unix socket starts at "
            "`chdir`."
        ),
    ),
    Setting(
        name="backlog",
        section=Section.SERVER_SOCKET,
        flags=("--backlog",),
        metavar="INT",
        read=read_integer(),
        default=2048,
        reload=ReloadEffect.LISTENERS,
        doc=(
            "How many connections the kernel may hold for each listening socket before a worker accepts them. "
            "Further ones wait or are refused; the kernel's own limit (`net.core.somaxconn`) caps it."
        ),
    ),
)
