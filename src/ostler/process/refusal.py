"""Why an address cannot be listened on, in words that end in a cure. bind(2), listen(2), getaddrinfo(3).

Rules for editing: text only; each sentence stands after `bind: cannot listen on ADDRESS: `.
"""

import errno
import socket as _socket
from typing import Final

from ostler.config.address import Address, TcpAddress
from ostler.errors import BindError, reason_of

_CURES: Final = {
    errno.EACCES: "permission denied; use a port above 1023, grant CAP_NET_BIND_SERVICE, or let the user write there",
    errno.EADDRINUSE: "address already in use; stop the other server or choose another address",
    errno.EADDRNOTAVAIL: "this machine has no such address; use one of its own, or 0.0.0.0 for all",
    errno.EAFNOSUPPORT: "this machine does not support the address family",
    errno.ENOENT: "no such directory; create it first",
    errno.ENOTDIR: "a part of the path is not a directory",
    errno.EROFS: "the file system is read-only; choose a directory that can be written, such as one below /run",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n)",
}


class AddressInUse(BindError):
    """Somebody else listens there now; trying again later may help."""


def sentence(address: Address, why: str) -> str:
    """The whole line."""
    return f"bind: cannot listen on {address}: {why}"


def refusal(address: Address, error: OSError) -> BindError:
    """The error to raise for what the system said."""
    text = sentence(address, reason(error))
    if error.errno != errno.EADDRINUSE:
        return BindError(text)
    if isinstance(address, TcpAddress) and address.host == "::":
        # ip(7): unless net.ipv6.bindv6only is set, "::" is every IPv4 address too.
        text += f" ([::]:{address.port} takes IPv4 too: do not bind 0.0.0.0:{address.port} beside it)"
    return AddressInUse(text)


def reason(error: OSError) -> str:
    """The system's words, or ours with a cure."""
    if isinstance(error, _socket.gaierror):
        return f"the host name is not known ({error.strerror}); use an address of this machine"
    return _CURES.get(error.errno or 0, reason_of(error))
