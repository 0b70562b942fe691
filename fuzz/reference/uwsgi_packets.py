"""A uwsgi packet, and the HTTP/1.0 head that it stands for. Anchors: uWSGI's Protocol page, RFC 3875 section 4.1."""

from fuzz.reference.grammar import DIGITS, LETTERS, Incomplete, demand, is_number, is_token, is_value
from fuzz.reference.requests import Request, read_request

_PATHS = ("PATH_INFO", "SCRIPT_NAME", "DOCUMENT_URI", "PATH_TRANSLATED", "SCRIPT_FILENAME")
_PLAIN_IN_PATHS = LETTERS + DIGITS + "_.-~" + "/*:@!$&'()+,;="


def read_packet(stream: bytes) -> tuple[Request, dict[str, str], str | None]:
    """The request, the parameters beside it, and the query if the proxy says one.

    Raises:
        Broken, Incomplete: see grammar.py.
    """
    demand(stream[:1] in (b"", b"\0"), "modifier1")
    if len(stream) < 4:
        raise Incomplete
    end = 4 + stream[1] + 256 * stream[2]
    demand(end > 4, "no variables")
    demand(stream[3] == 0, "modifier2")
    if len(stream) < end:
        raise Incomplete
    words = _words(stream[4:end])
    demand(len(words) % 2 == 0, "a name without a value")
    params: dict[str, str] = {}
    fields: list[tuple[str, str]] = []
    for raw_name, raw_value in zip(words[::2], words[1::2], strict=True):
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        demand(is_token(name), "a name is a token")
        demand(name in _PATHS or is_value(value), "a control character")
        if name.startswith("HTTP_"):
            fields.append((name[5:].replace("_", "-").lower(), value))
        else:
            demand(name not in params, "twice")
            params[name] = value
    _demand_forms(params)
    fields = _one_length(fields, params)
    if "CONTENT_TYPE" in params:
        kind = params.pop("CONTENT_TYPE")
        fields = [field for field in fields if field[0] != "content-type"]
        fields += [("content-type", kind)] if kind else []
    query = params.pop("QUERY_STRING", None)
    target = params.pop("REQUEST_URI", "")
    if target == "":
        path = params.get("SCRIPT_NAME", "") + params.get("PATH_INFO", "")
        target = "".join(c if c in _PLAIN_IN_PATHS else f"%{ord(c):02X}" for c in path)
        if target and query:
            target += "?" + query
    head = f"{params.pop('REQUEST_METHOD', '')} {target} HTTP/1.0\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    demand(head[0] not in "\r\n", "no method")
    return read_request(head.encode("latin-1") + stream[end:], 0, lenient=False), params, query


def _words(block: bytes) -> list[bytes]:
    words = []
    at = 0
    while at < len(block):
        demand(at + 2 <= len(block), "half a size")
        size = block[at] + 256 * block[at + 1]
        demand(at + 2 + size <= len(block), "beyond the end")
        words.append(block[at + 2 : at + 2 + size])
        at += 2 + size
    return words


def _demand_forms(params: dict[str, str]) -> None:
    for name in ("REMOTE_PORT", "SERVER_PORT"):
        value = params.get(name, "")
        demand(value == "" or (is_number(value) and len(value) <= 5), "a port")
    demand(params.get("REQUEST_SCHEME", "") in ("", "http", "https"), "a scheme")
    version = params.get("SERVER_PROTOCOL", "")
    demand(version == "" or (version[:5] == "HTTP/" and _is_version(version[5:])), "a version")
    query = params.get("QUERY_STRING", "")
    demand(all("!" <= character <= "~" and character != "#" for character in query), "a query")
    path = params.get("PATH_INFO", "")
    demand(path in ("", "*") or path[0] == "/", "a path")
    demand(params.get("SCRIPT_NAME", "/")[:1] in ("", "/"), "a script")


def _is_version(text: str) -> bool:
    return is_number(text[:1]) and (len(text) == 1 or (len(text) == 3 and text[1] == "." and is_number(text[2])))


def _one_length(fields: list[tuple[str, str]], params: dict[str, str]) -> list[tuple[str, str]]:
    """CONTENT_LENGTH says how much will come, and what the client said must not contradict it."""
    length = params.pop("CONTENT_LENGTH", None)
    for name, value in fields:
        if name == "transfer-encoding":
            demand(value.lower() == "chunked", "a coding that is not chunked")
            demand(length not in (None, ""), "nobody knows how much will come")
        if name == "content-length":
            demand(length in ("", value), "two lengths")
    kept = [field for field in fields if field[0] not in ("transfer-encoding", "content-length")]
    return kept + ([("content-length", length)] if length else [])
