"""app/tls_environ.py: what a connection over TLS and its client's certificate add to the environ."""

import base64
from dataclasses import replace

import pytest

from ostler.app.tls_environ import distinguished_name, pem, tls_environ
from ostler.http.connection import Secured

PLAIN = Secured("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, "example.com", False, None, None)
CERTIFICATE = {
    "subject": (
        (("countryName", "GB"),),
        (("organizationName", "Example, Inc."),),
        (("organizationalUnitName", "Engines"),),
        (("organizationalUnitName", "Notes"),),
        (("commonName", "Ada"), ("emailAddress", "ada@example.com")),
    ),
    "issuer": ((("domainComponent", "example"),), (("commonName", "CA"),)),
    "version": 3,
    "serialNumber": "0A0B",
    "notBefore": "Jan  1 00:00:00 2026 GMT",
    "notAfter": "Jan  1 00:00:00 2027 GMT",
    "subjectAltName": (
        ("DNS", "a.example"),
        ("email", "ada@example.com"),
        ("DNS", "*.example"),
        ("IP Address", "192.0.2.1"),
        ("email", "lady@example.com"),
    ),
}
KNOWN = replace(PLAIN, certificate=CERTIFICATE, der=b"der")


def test_a_connection_without_a_certificate():
    assert tls_environ(PLAIN) == {
        "HTTPS": "on",
        "SSL_PROTOCOL": "TLSv1.3",
        "SSL_CIPHER": "TLS_AES_256_GCM_SHA384",
        "SSL_CIPHER_USEKEYSIZE": "256",
        "SSL_TLS_SNI": "example.com",
        "SSL_SESSION_RESUMED": "Initial",
        "SSL_CLIENT_VERIFY": "NONE",
    }


def test_a_resumed_session_without_a_name():
    environ = tls_environ(replace(PLAIN, resumed=True, server_name=None))
    assert environ["SSL_SESSION_RESUMED"] == "Resumed"
    assert "SSL_TLS_SNI" not in environ


def test_a_certificate_that_was_not_asked_for_is_none():
    assert tls_environ(replace(PLAIN, certificate={}, der=b"der")) == tls_environ(PLAIN)


def test_a_connection_with_a_certificate():
    assert {key: value for key, value in tls_environ(KNOWN).items() if key not in tls_environ(PLAIN)} == {
        "SSL_CLIENT_S_DN": "CN=Ada+emailAddress=ada@example.com,OU=Notes,OU=Engines,O=Example\\, Inc.,C=GB",
        "SSL_CLIENT_S_DN_C": "GB",
        "SSL_CLIENT_S_DN_O": "Example, Inc.",
        "SSL_CLIENT_S_DN_OU": "Engines",
        "SSL_CLIENT_S_DN_OU_1": "Notes",
        "SSL_CLIENT_S_DN_CN": "Ada",
        "SSL_CLIENT_S_DN_Email": "ada@example.com",
        "SSL_CLIENT_I_DN": "CN=CA,DC=example",
        "SSL_CLIENT_I_DN_DC": "example",
        "SSL_CLIENT_I_DN_CN": "CA",
        "SSL_CLIENT_M_VERSION": "3",
        "SSL_CLIENT_M_SERIAL": "0A0B",
        "SSL_CLIENT_V_START": "Jan  1 00:00:00 2026 GMT",
        "SSL_CLIENT_V_END": "Jan  1 00:00:00 2027 GMT",
        "SSL_CLIENT_SAN_DNS_0": "a.example",
        "SSL_CLIENT_SAN_DNS_1": "*.example",
        "SSL_CLIENT_SAN_Email_0": "ada@example.com",
        "SSL_CLIENT_SAN_Email_1": "lady@example.com",
        "SSL_CLIENT_CERT": "-----BEGIN CERTIFICATE-----\nZGVy\n-----END CERTIFICATE-----\n",
    }
    assert tls_environ(KNOWN)["SSL_CLIENT_VERIFY"] == "SUCCESS"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Ada", "Ada"),
        ('a,b+c"d\\e<f>g;h', 'a\\,b\\+c\\"d\\\\e\\<f\\>g\\;h'),
        (" both ", "\\ both\\ "),
        (" ", "\\ "),
        ("  ", "\\ \\ "),
        ("#1", "\\#1"),
        ("a#1", "a#1"),
        ("a b", "a b"),
        ("a\0b\nc\x7f", "a\\00b\\0Ac\\7F"),
        ("CN=b", "CN=b"),
        ("", ""),
    ],
)
def test_a_value_can_pretend_to_be_nothing_else(value, text):
    assert distinguished_name(((("commonName", value),),)) == f"CN={text}"


def test_types_without_a_short_word_keep_theirs():
    names = ((("jurisdictionCountryName", "GB"),), (("1.2.3.4", "x"),), (("streetAddress", "y"),))
    assert distinguished_name(names) == "STREET=y,1.2.3.4=x,jurisdictionCountryName=GB"
    environ = tls_environ(replace(PLAIN, certificate={"subject": names}))
    assert [key for key in environ if key.startswith("SSL_CLIENT_S_DN")] == ["SSL_CLIENT_S_DN"]


def test_text_is_utf_8_as_pep_3333_wants_it():
    environ = tls_environ(replace(PLAIN, certificate={"subject": ((("commonName", "Zo\u00eb \u0416"),),)}))
    assert environ["SSL_CLIENT_S_DN_CN"].encode("latin-1") == "Zo\u00eb \u0416".encode()
    assert environ["SSL_CLIENT_S_DN"].encode("latin-1") == "CN=Zo\u00eb \u0416".encode()


def test_a_certificate_as_text():
    der = bytes(range(256))
    first, *lines, last, end = pem(der).split("\n")
    assert (first, last, end) == ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----", "")
    assert {len(line) for line in lines[:-1]} == {64}
    assert base64.b64decode("".join(lines)) == der
