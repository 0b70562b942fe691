"""Addresses: where to listen (`bind`) and which peers to believe (`forwarded_allow_ips`).

Text goes in, small frozen values come out; nothing here resolves a name or touches a socket. A text that cannot be
understood raises `BadValue` with what was expected and what to do; the caller adds the setting's name and its origin.
Address syntax is Gunicorn's: HOST, HOST:PORT, :PORT, [v6]:PORT, tcp://..., unix:PATH. Networks are strict
(`192.168.1.1/24` has host bits and is refused), as `ipaddress.ip_network` reads them.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from functools import cached_property

from ostler.config.parse import BadValue, quoted

DEFAULT_PORT = 8000
_EXPECTED = "HOST:PORT, [IPV6]:PORT or unix:PATH"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host (name, IPv4, or IPv6 without brackets; lower case) and a port (0: the kernel picks one)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket in the file system. In `Settings` the path is absolute."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TcpAddress | UnixAddress
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_address(text: str) -> Address:
    """One address of `bind`. Raises BadValue."""
    text = text.strip()
    if text.startswith("unix:"):
        return _unix(text)
    if text.startswith("fd://"):
        raise BadValue(_EXPECTED, text, "sockets given by number (fd://) are not built yet in this version of Ostler")
    text = text.removeprefix("tcp://")
    if "://" in text:
        raise BadValue(_EXPECTED, text, "write the address without a scheme")
    return _tcp(text)


def _unix(text: str) -> UnixAddress:
    path = text.removeprefix("unix:").removeprefix("//")
    if path.startswith(("@", "\0")):
        raise BadValue(_EXPECTED, text, "abstract sockets are not built yet in this version of Ostler")
    if not path or "\0" in path:
        raise BadValue("unix:PATH", text)
    return UnixAddress(path)


def _tcp(text: str) -> TcpAddress:
    if not text:
        raise BadValue(_EXPECTED, text)
    bracketed = re.fullmatch(r"\[([^\[\]]+)\](?::(.*))?", text)
    if bracketed:
        host, port = bracketed[1], bracketed[2]
        _check_ipv6(host, text)
    elif text.count(":") > 1:
        raise BadValue(_EXPECTED, text, f"an IPv6 address needs brackets, e.g. [{text}]:{DEFAULT_PORT}")
    else:
        host, separator, after = text.partition(":")
        port = after if separator else None
    if port is None and host.isdigit():
        raise BadValue(_EXPECTED, text, f"for a port on all interfaces write :{host}")
    if re.search(r"[\s/\[\]@]", host):
        raise BadValue(_EXPECTED, text)
    # An empty host (":8000") means every IPv4 interface, as everywhere else.
    return TcpAddress(host.lower() or "0.0.0.0", DEFAULT_PORT if port is None else _port(port))


def _check_ipv6(host: str, text: str) -> None:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        raise BadValue(_EXPECTED, text, "the brackets must hold an IPv6 address") from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:6]) <= 65535 and len(text) <= 6):
        raise BadValue("a port number from 0 to 65535", text)
    return int(text)


@dataclass(frozen=True)
class AllowList:
    """Peers whose forwarded fields are believed: networks, or everybody (`*`).

    Peers on Unix sockets are always trusted; callers do not ask for them.
    """

    networks: tuple[Network, ...] = ()
    everybody: bool = False
    texts: tuple[str, ...] = field(default=(), compare=False)

    def allows(self, host: str) -> bool:
        """True when `host` (an address as `getpeername` gives it) is in the list.

        An IPv4 peer on a dual-stack listener (`::ffff:10.0.0.1`) is the IPv4 address that it stands for.
        """
        if self.everybody or host in self._single:
            return True
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            mapped = address.ipv4_mapped
            return any(address in network or mapped in network for network in self.networks)
        return any(address in network for network in self.networks)

    @cached_property
    def _single(self) -> frozenset[str]:
        # Nearly every list is "127.0.0.1,::1": a set look-up instead of parsing an address for each connection.
        return frozenset(
            str(network.network_address) for network in self.networks if network.prefixlen == network.max_prefixlen
        )

    def __str__(self) -> str:
        return ",".join(self.texts)


def parse_allow_list(text: str) -> AllowList:
    """Comma-separated addresses and networks, or `*`. Raises BadValue."""
    entries = tuple(entry.strip() for entry in text.split(",") if entry.strip())
    networks = tuple(_network(entry) for entry in entries if entry != "*")
    return AllowList(networks, everybody="*" in entries, texts=entries)


def _network(text: str) -> Network:
    expected = 'IP addresses or networks separated by commas, or "*"'
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        loose = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadValue(expected, text) from None
    raise BadValue(expected, text, f"it has host bits set; did you mean {quoted(str(loose))}?")
