"""Addresses: where to listen (`bind`), where to send logs and metrics, and which peers to believe.

Text goes in, small frozen values come out; nothing here resolves a name or touches a socket. A text that cannot be
understood raises `BadValue` with what was expected and what to do; the caller adds the setting's name and its origin.
Address syntax is Gunicorn's: HOST, HOST:PORT, :PORT, [v6]:PORT, tcp://..., unix:PATH, fd://N; ours are unix:@NAME
(abstract, unix(7)) and fd://NAME (a name of systemd's LISTEN_FDNAMES, sd_listen_fds(3)). Networks are strict
(`192.168.1.1/24` has host bits and is refused), as `ipaddress.ip_network` reads them.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

from ostler.config.parse import BadValue, quoted

DEFAULT_PORT: Final = 8000
_SYSLOG_PORT: Final = 514
_STATSD_PORT: Final = 8125
_EXPECTED: Final = "HOST:PORT, [IPV6]:PORT, unix:PATH or fd://NUMBER"
_EXPECTED_FD: Final = "fd://NUMBER, or fd://NAME with a name that systemd gives"
_EXPECTED_SYSLOG: Final = "udp://HOST:PORT, tcp://HOST:PORT, unix://PATH or unix://PATH#dgram"
_EXPECTED_STATSD: Final = "HOST:PORT or unix://PATH"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host (name, IPv4, or IPv6 without brackets; lower case) and a port (0: the kernel picks one)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket: in the file system (in `Settings` the path is absolute), or abstract.

    Of an abstract one (unix(7), Linux only) `path` is the name without the NUL or @ before it: no file, no directory.
    """

    path: str
    abstract: bool = False

    def __str__(self) -> str:
        return f"unix:@{self.path}" if self.abstract else f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class FdAddress:
    """A socket that this process is started with: by its number, or (fd is None) by the name that systemd gives it."""

    fd: int | None
    name: str = ""

    def __str__(self) -> str:
        return f"fd://{self.name if self.fd is None else self.fd}"


@dataclass(frozen=True, slots=True)
class SyslogAddress:
    """Where a syslog daemon listens: `host` and `port`, or `path` of a Unix socket (absolute in `Settings`).

    "unix" is a Unix socket of whichever kind answers (datagram first), "unix-dgram" a datagram one only.
    """

    kind: Literal["udp", "tcp", "unix", "unix-dgram"]
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        match self.kind:
            case "unix":
                return f"unix://{self.path}"
            case "unix-dgram":
                return f"unix://{self.path}#dgram"
        return f"{self.kind}://{TcpAddress(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class StatsdAddress:
    """Where a StatsD daemon listens, by UDP: `host` and `port`; or, with a `path`, at a Unix datagram socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        return f"unix://{self.path}" if self.path else str(TcpAddress(self.host, self.port))


Address = TcpAddress | UnixAddress | FdAddress
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_address(text: str) -> Address:
    """One address of `bind`. Raises BadValue."""
    text = text.strip()
    if text.startswith("unix:"):
        return _unix(text)
    if text.startswith("fd://"):
        return _fd(text)
    rest = text.removeprefix("tcp://")
    if "://" in rest:
        raise BadValue(_EXPECTED, text, "write the address without a scheme")
    host, port = _host_and_port(rest, text, _EXPECTED)
    if port is None and host.isdigit():
        raise BadValue(_EXPECTED, text, f"for a port on all interfaces write :{host}")
    # An empty host (":8000") means every IPv4 interface, as everywhere else.
    return TcpAddress(host or "0.0.0.0", DEFAULT_PORT if port is None else port)


def parse_syslog_address(text: str) -> SyslogAddress:
    """The value of `syslog_addr`, as Gunicorn's; ports default to 514, the host to localhost. Raises BadValue."""
    text = text.strip()
    scheme, separator, rest = text.partition("://")
    match scheme if separator else "":
        case "udp" | "tcp" as kind:
            host, port = _host_and_port(rest, text, _EXPECTED_SYSLOG) if rest else ("", None)
            return SyslogAddress(kind, host or "localhost", _SYSLOG_PORT if port is None else port)
        case "unix":
            path, _, kind_of_socket = rest.partition("#")
            if not path or "\0" in path:
                raise BadValue(_EXPECTED_SYSLOG, text)
            # Gunicorn tries both kinds whatever stands after the #, if it is not dgram.
            return SyslogAddress("unix-dgram" if kind_of_socket == "dgram" else "unix", path=path)
    raise BadValue(_EXPECTED_SYSLOG, text)


def parse_statsd_address(text: str) -> StatsdAddress:
    """The value of `statsd_host`, as Gunicorn's; the port defaults to 8125, the host to localhost. Raises BadValue."""
    text = text.strip()
    # "unix:8125" is a host named unix: Gunicorn promises that.
    if text.startswith("unix:") and not re.fullmatch(r"unix:[0-9]+", text):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path or "\0" in path:
            raise BadValue(_EXPECTED_STATSD, text)
        return StatsdAddress(path=path)
    rest = text.removeprefix("tcp://")  # Gunicorn takes it, and sends UDP
    if "://" in rest:
        raise BadValue(_EXPECTED_STATSD, text, "write the address without a scheme")
    host, port = _host_and_port(rest, text, _EXPECTED_STATSD)
    return StatsdAddress(host or "localhost", _STATSD_PORT if port is None else port)


def _unix(text: str) -> UnixAddress:
    path = text.removeprefix("unix:").removeprefix("//")
    abstract = path.startswith(("@", "\0"))
    path = path[1:] if abstract else path
    if not path or "\0" in path:
        raise BadValue("unix:PATH, or unix:@NAME for an abstract socket", text)
    return UnixAddress(path, abstract)


def _fd(text: str) -> FdAddress:
    name = text.removeprefix("fd://")
    if name.isascii() and name.isdigit() and len(name) <= 6:
        return FdAddress(int(name))
    # FileDescriptorName= of systemd.socket(5); names of digits only are taken for numbers.
    if not re.fullmatch(r"(?![-+]?[0-9]+$)[!-9;-~]{1,255}", name):
        raise BadValue(_EXPECTED_FD, text)
    return FdAddress(None, name)


def _host_and_port(rest: str, whole: str, expected: str) -> tuple[str, int | None]:
    """Takes `rest` apart; `whole` and `expected` are for the error. The host is in lower case, perhaps empty."""
    if not rest:
        raise BadValue(expected, whole)
    bracketed = re.fullmatch(r"\[([^\[\]]+)\](?::(.*))?", rest)
    if bracketed:
        host, port = bracketed[1], bracketed[2]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise BadValue(expected, whole, "the brackets must hold an IPv6 address") from None
    elif rest.count(":") > 1:
        raise BadValue(expected, whole, f"an IPv6 address needs brackets, e.g. [{rest}]:{DEFAULT_PORT}")
    else:
        host, separator, after = rest.partition(":")
        port = after if separator else None
    if re.search(r"[\s/\[\]@]", host):
        raise BadValue(expected, whole)
    return host.lower(), None if port is None else _port(port, whole)


def _port(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) <= 65535):
        raise BadValue("a port number from 0 to 65535 after the colon", whole)
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
