"""Chapter "TLS". What is in the files is looked at by `process/certificates.py`, in the master, for each generation."""

import re
from collections.abc import Mapping
from typing import Final

from ostler.config.parse import BadValue, read_integer, read_path, read_path_if_any, read_switch, read_text_if_any
from ostler.config.setting import FlagKind, ReloadEffect, Section, Setting, Support, Takes

_NAME: Final = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_NAMED: Final = 'host names with their files: {"shop.example": ["cert.pem", "key.pem"], "*.example": "both.pem"}'
_FLAG: Final = "NAME=CERTFILE[,KEYFILE]"


def read_named_certificates(raw: object) -> dict[str, tuple[str, str | None]]:
    """A table of names and files, or texts `NAME=CERTFILE[,KEYFILE]` -> (certificate, key) by name in lower case.

    The key is None when it is in the certificate's file.
    """
    if raw is None or raw == "":
        return {}
    entries = raw.items() if isinstance(raw, Mapping) else [_named(text) for text in _texts(raw)]
    found: dict[str, tuple[str, str | None]] = {}
    for name, files in entries:
        key = _host_name(name)
        if key in found:
            raise BadValue(_NAMED, raw, f"{key} is there twice")
        found[key] = _files(files)
    return found


def _texts(raw: object) -> list[object]:
    if isinstance(raw, str):
        return [raw]
    if isinstance(raw, list | tuple):
        return list(raw)
    raise BadValue(_NAMED, raw)


def _named(text: object) -> tuple[object, object]:
    name, equals, files = text.partition("=") if isinstance(text, str) else ("", "", "")
    if not equals:
        raise BadValue(_FLAG, text)
    certificate, comma, key = files.partition(",")
    return name, [certificate, key] if comma else certificate


def _host_name(name: object) -> str:
    """As clients ask for it: lower case, IDNA for letters beyond ASCII (RFC 6066 section 3)."""
    expected = 'a host name, or "*." and a host name'
    if not isinstance(name, str):
        raise BadValue(expected, name)
    star, text = ("*.", name.strip()[2:]) if name.strip().startswith("*.") else ("", name.strip())
    try:
        ascii_text = text.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError as error:
        raise BadValue(expected, name) from error
    if not _NAME.fullmatch(star + ascii_text):
        raise BadValue(expected, name)
    return star + ascii_text


def _files(raw: object) -> tuple[str, str | None]:
    match raw:
        case str():
            return read_path(raw), None
        case [certificate]:
            return read_path(certificate), None
        case [certificate, key]:
            return read_path(certificate), read_path(key)
    raise BadValue("the name of a file, or of two: certificate and key", raw)


SETTINGS = (
    Setting(
        name="keyfile",
        section=Section.TLS,
        flags=("--keyfile",),
        metavar="FILE",
        read=read_path_if_any,
        default=None,
        reload=ReloadEffect.WORKERS,
        doc="The private key of the certificate, in PEM, without a password. Not needed when `certfile` holds it too.",
    ),
    Setting(
        name="certfile",
        section=Section.TLS,
        flags=("--certfile",),
        metavar="FILE",
        read=read_path_if_any,
        default=None,
        reload=ReloadEffect.WORKERS,
        doc=(
            "The server's certificate, in PEM, with the chain that leads to its authority behind it. It turns TLS on, "
            "for every address of `bind`. The master looks at the files of this chapter once a second: what has "
            "changed and is good is used for new connections, without a reload; what is not good is said once, and the "
            "former certificate stays."
        ),
    ),
    Setting(
        name="sni_certificates",
        section=Section.TLS,
        flags=("--sni-certificate",),
        kind=FlagKind.REPEAT,
        metavar=_FLAG,
        takes=Takes.TABLE,
        read=read_named_certificates,
        default={},
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
        doc=(
            "More certificates, by the name that a client asks for. In files a table of names and files: "
            '`{"shop.example": ["cert.pem", "key.pem"], "*.example": "both.pem"}`. A star stands for one label; a name '
            "itself wins over a star; whoever asks for another name, or none, gets `certfile`."
        ),
    ),
    Setting(
        name="ssl_version",
        section=Section.TLS,
        flags=("--ssl-version",),
        read=lambda raw: raw,
        default=None,
        default_text="none",
        reload=ReloadEffect.WORKERS,
        support=Support.UNUSED,
        note="Gunicorn ignores it too; TLS is 1.2 or later, and the hook ssl_context can change that",
        doc="Without meaning, in Gunicorn too. Accepted with one info line.",
        takes=Takes.INTEGER_OR_TEXT,
    ),
    Setting(
        name="cert_reqs",
        section=Section.TLS,
        flags=("--cert-reqs",),
        metavar="INT",
        takes=Takes.INTEGER,
        least=0,
        read=read_integer(at_most=2),
        default=0,
        reload=ReloadEffect.WORKERS,
        doc=(
            "Whether clients need a certificate: 0 asks for none, 1 takes one, 2 requires one, as `ssl.CERT_NONE`, "
            "`ssl.CERT_OPTIONAL` and `ssl.CERT_REQUIRED`. A certificate that none of `ca_certs` has signed ends the "
            "handshake. The application finds it in `SSL_CLIENT_*`."
        ),
    ),
    Setting(
        name="ca_certs",
        section=Section.TLS,
        flags=("--ca-certs",),
        metavar="FILE",
        read=read_path_if_any,
        default=None,
        reload=ReloadEffect.WORKERS,
        doc="The authorities whose certificates clients may have, in PEM. Needed when `cert_reqs` is 1 or 2.",
    ),
    Setting(
        name="suppress_ragged_eofs",
        section=Section.TLS,
        flags=("--suppress-ragged-eofs",),
        kind=FlagKind.ON,
        takes=Takes.SWITCH,
        read=read_switch,
        default=True,
        reload=ReloadEffect.WORKERS,
        doc=(
            "Take the end of a connection for an end also when the client did not announce it (TLS's close_notify); "
            "False in a file makes it an error of the connection. A request that is cut there is incomplete either way."
        ),
    ),
    Setting(
        name="do_handshake_on_connect",
        section=Section.TLS,
        flags=("--do-handshake-on-connect",),
        kind=FlagKind.ON,
        takes=Takes.SWITCH,
        read=read_switch,
        default=False,
        reload=ReloadEffect.WORKERS,
        support=Support.UNUSED,
        note="a handshake begins when a client connects, and nobody waits for it",
        doc="Without meaning: handshakes never block, so there is no moment to choose. Accepted with one info line.",
    ),
    Setting(
        name="ciphers",
        section=Section.TLS,
        flags=("--ciphers",),
        read=read_text_if_any,
        default=None,
        reload=ReloadEffect.WORKERS,
        doc=(
            "The ciphers of TLS 1.2, as OpenSSL's cipher list has them (`openssl ciphers -v LIST`). Unset: those that "
            "Python's ssl takes for strong. Those of TLS 1.3 are OpenSSL's."
        ),
    ),
)
