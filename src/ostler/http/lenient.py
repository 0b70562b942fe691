"""What Gunicorn's five leniencies let through. Strict servers never come here: parse.py calls it for odd requests only.

| option | effect |
| --- | --- |
| permit_unconventional_http_method | a method is any token: lower case, "#", one character or a hundred |
| casefold_http_method | such a method is read in upper case; without the option above, lower case stays refused |
| permit_unconventional_http_version | a major version below 1 is served as HTTP/1.0, one above 1 as HTTP/1.1 |
| strip_header_spaces | SP and HTAB between a field's name and its colon are dropped |
| permit_obsolete_folding | a line that begins with SP or HTAB goes on with the field before it, behind one SP |

Rules for editing. Whoever is in front of us may read an odd field differently, so what decides about the message
(`DECIDING`: its length, its host, its connection) is never taken from one: such a request is refused whatever the
options say. There we are stricter than Gunicorn, which takes a folded Transfer-Encoding. Trailers stay strict, too.
Anchors: RFC 9112 sections 2.3, 5.1 and 5.2, RFC 9110 section 9.1.
"""

from ostler.http.errors import HttpError
from ostler.http.framing import DECIDING
from ostler.http.grammar import TOKEN
from ostler.http.limits import Leniency, Limits


def lenient_method(method: str, leniency: Leniency) -> str:
    """A method that is not of the usual kind, as it is to be understood.

    Raises:
        HttpError: 400.
    """
    if not leniency.permit_unconventional_http_method:
        raise HttpError(400, "a method is 3 to 20 characters of a token, none in lower case")
    if not TOKEN.fullmatch(method):
        raise HttpError(400, "a method is a token")
    return method.upper() if leniency.casefold_http_method else method


def lenient_minor(major: str, leniency: Leniency) -> int:
    """The minor version of HTTP/1 as which a well-formed version with another major one is served.

    Raises:
        HttpError: 505.
    """
    if not leniency.permit_unconventional_http_version:
        raise HttpError(505, "only HTTP/1.x is served here")
    return 0 if major == "0" else 1


def lenient_fields(lines: list[str], limits: Limits) -> list[str]:
    """The lines of a head's fields as a strict client would have sent them.

    Raises:
        HttpError: 400 where leniency ends, 431 for a folded field over its limit.
    """
    leniency = limits.leniency
    if leniency.permit_obsolete_folding:
        lines = _unfolded(lines, limits.field_size)
    if leniency.strip_header_spaces:
        lines = [_without_spaces(line) for line in lines]
    return lines


def _unfolded(lines: list[str], limit: int) -> list[str]:
    fields: list[list[str]] = []
    for line in lines:
        if line[:1] not in (" ", "\t"):
            fields.append([line])
        elif not fields:
            raise HttpError(400, "a request line cannot be folded")
        elif not line.strip(" \t"):
            raise HttpError(400, "a folded line with nothing in it looks like the end of the head")
        else:
            fields[-1].append(line)
    return [parts[0] if len(parts) == 1 else _joined(parts, limit) for parts in fields]


def _joined(parts: list[str], limit: int) -> str:
    if 0 < limit < sum(len(part) + 2 for part in parts):
        raise HttpError(431, "a folded field longer than limit_request_field_size")
    name, _, _ = parts[0].partition(":")
    if name.lower() in DECIDING:
        raise HttpError(400, "a folded field decides about the message")
    return " ".join([parts[0].rstrip(" \t"), *(part.strip(" \t") for part in parts[1:])])


def _without_spaces(line: str) -> str:
    name, colon, value = line.partition(":")
    stripped = name.rstrip(" \t")
    if stripped == name or not colon:
        return line
    if stripped.lower() in DECIDING:
        raise HttpError(400, "white space before the colon of a field that decides about the message")
    return f"{stripped}:{value}"
