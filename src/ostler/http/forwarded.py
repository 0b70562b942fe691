"""What fields of a request may tell the application about its client: the scheme, and the environ's CGI names.

Trust is decided elsewhere (`forwarded_allow_ips`, once a connection); here is what follows from it.

Anchors: Gunicorn's `secure_scheme_headers`, `forwarder_headers` and `header_map`; RFC 3875 section 4.1.18; RFC 9110
section 17.10 for why an underscore in a field's name is not harmless: X_Forwarded_For and X-Forwarded-For become one
environ key, so that a client could add to what its proxy says. And CVE-2016-1000110 and its kin ("httpoxy") for why
`Proxy` never becomes HTTP_PROXY, which HTTP clients in the application, or in what it starts, take for their proxy.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal

from ostler.http.errors import HttpError
from ostler.http.grammar import Memo

HeaderMap = Literal["drop", "refuse", "dangerous"]

_WITHOUT_PREFIX: Final = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


def scheme_of(
    fields: Sequence[tuple[str, str]], trusted: bool, secure_scheme_headers: Mapping[str, str]
) -> Literal["http", "https"]:
    """The scheme of the client's request, as a trusted proxy says it; "http" when nobody says anything.

    `secure_scheme_headers` maps names in upper case to the one value that means https; any other value means http.

    Raises:
        HttpError: 400, when two such fields disagree.
    """
    if not trusted:
        return "http"
    said: set[Literal["http", "https"]] = set()
    for name, value in fields:
        secure = secure_scheme_headers.get(name.upper())
        if secure is not None:
            said.add("https" if value == secure else "http")
    if len(said) > 1:
        raise HttpError(400, "the fields that tell the scheme disagree")
    return said.pop() if said else "http"


class FieldPolicy:
    """Which environ key a field's name becomes, for peers of one degree of trust."""

    __slots__ = ("environ_key",)

    def __init__(self, header_map: HeaderMap, forwarder_headers: Iterable[str], trusted: bool) -> None:
        """`forwarder_headers` are names in upper case, or "*": with an underscore only these pass, if `trusted`."""
        allowed = frozenset(forwarder_headers) if trusted else frozenset[str]()

        def key(name: str) -> str | None:
            if "_" in name and name.upper() not in allowed and "*" not in allowed:
                match header_map:
                    case "dangerous":
                        pass
                    case "drop":
                        return None
                    case _:
                        raise HttpError(400, "a field's name has an underscore, and header_map refuses that")
            if name == "proxy" and header_map != "dangerous":
                return None
            return _WITHOUT_PREFIX.get(name) or "HTTP_" + name.upper().replace("-", "_")

        self.environ_key: Final[Callable[[str], str | None]] = Memo(key).__getitem__
        """A field's name in lower case -> its environ key, or None for a field that is dropped.

        One lookup in C: it is called for every field of every request. Raises HttpError (400) for a field that makes
        the request unacceptable.
        """
