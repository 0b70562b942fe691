"""What TLS adds to the environ: the connection's own facts, and those of the client's certificate.

Names and forms are Apache's (mod_ssl), which applications and their middleware know. They are made once a connection
and shared by its requests. No field of a request becomes one of these keys: fields have the prefix HTTP_.

Text is as PEP 3333 wants it: UTF-8, each byte as one character. Anchors: RFC 2253 sections 2 and 4 (distinguished
names), RFC 7468 (PEM), `ssl.SSLSocket.getpeercert`, https://httpd.apache.org/docs/2.4/mod/mod_ssl.html#envvars.
"""

import binascii
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from ostler.http.connection import Secured

RelativeNames = Iterable[Iterable[tuple[str, str]]]
"""A name as `getpeercert` has it: relative names from the root on, each of one or more types with their values."""

_IN_NAMES: Final = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}
"""The words of RFC 2253 section 2.3; other types keep OpenSSL's, such as emailAddress."""

_IN_KEYS: Final = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "emailAddress": "Email",
    "givenName": "G",
    "initials": "I",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "surname": "S",
    "title": "T",
    "userId": "UID",
}
"""The endings of SSL_CLIENT_S_DN_...; other types have no key of their own."""

_ALTERNATIVE_NAMES: Final = {"DNS": "SSL_CLIENT_SAN_DNS_", "email": "SSL_CLIENT_SAN_Email_"}

_ESCAPED: Final = {ord(character): f"\\{character}" for character in ',+"\\<>;'} | {
    number: f"\\{number:02X}" for number in (*range(0x20), 0x7F)
}
_PEM_COLUMNS: Final = 64


def tls_environ(secured: Secured) -> dict[str, str]:
    """The keys that a connection over TLS adds, but for `wsgi.url_scheme`."""
    environ = {
        "HTTPS": "on",
        "SSL_PROTOCOL": secured.version,
        "SSL_CIPHER": secured.cipher,
        "SSL_CIPHER_USEKEYSIZE": str(secured.bits),
        "SSL_SESSION_RESUMED": "Resumed" if secured.resumed else "Initial",
        "SSL_CLIENT_VERIFY": "SUCCESS" if secured.certificate else "NONE",
    }
    if secured.server_name is not None:
        environ["SSL_TLS_SNI"] = _native(secured.server_name)
    if secured.certificate:
        environ.update(_certificate_environ(secured.certificate))
        if secured.der is not None:
            environ["SSL_CLIENT_CERT"] = pem(secured.der)
    return environ


def _certificate_environ(certificate: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, name in (("SSL_CLIENT_S_DN", "subject"), ("SSL_CLIENT_I_DN", "issuer")):
        names: RelativeNames = certificate.get(name, ())
        yield key, _native(distinguished_name(names))
        yield from _numbered(
            (f"{key}_{_IN_KEYS[kind]}", value) for relative in names for kind, value in relative if kind in _IN_KEYS
        )
    for key, name in (
        ("SSL_CLIENT_M_VERSION", "version"),
        ("SSL_CLIENT_M_SERIAL", "serialNumber"),
        ("SSL_CLIENT_V_START", "notBefore"),
        ("SSL_CLIENT_V_END", "notAfter"),
    ):
        if name in certificate:
            yield key, str(certificate[name])
    counts = dict.fromkeys(_ALTERNATIVE_NAMES, 0)
    for kind, value in certificate.get("subjectAltName", ()):
        if kind in counts:
            yield f"{_ALTERNATIVE_NAMES[kind]}{counts[kind]}", _native(value)
            counts[kind] += 1


def _numbered(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """A key that comes again gets a number: SSL_CLIENT_S_DN_OU, SSL_CLIENT_S_DN_OU_1, ..."""
    seen: dict[str, int] = {}
    for key, value in pairs:
        count = seen.get(key, 0)
        seen[key] = count + 1
        yield f"{key}_{count}" if count else key, _native(value)


def distinguished_name(names: RelativeNames) -> str:
    """A name as text: `CN=Ada,O=Example\\, Inc.,C=GB`, the relative name next to the root last (RFC 2253)."""
    relatives = ["+".join(f"{_IN_NAMES.get(kind, kind)}={_escaped(value)}" for kind, value in each) for each in names]
    return ",".join(reversed(relatives))


def _escaped(value: str) -> str:
    text = value.translate(_ESCAPED)
    if text.startswith((" ", "#")):
        text = f"\\{text}"
    if value.endswith(" ") and text != "\\ ":
        text = f"{text[:-1]}\\ "
    return text


def pem(der: bytes) -> str:
    """A certificate in the text form, with a line end behind each line."""
    encoded = binascii.b2a_base64(der, newline=False).decode("ascii")
    lines = [encoded[start : start + _PEM_COLUMNS] for start in range(0, len(encoded), _PEM_COLUMNS)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


def _native(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")
