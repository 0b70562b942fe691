"""roles/reports.py: what needs no process."""

import logging
from dataclasses import dataclass
from pathlib import Path

import pytest

from ostler.config.settings import Settings
from ostler.process.certificates import Certificates
from ostler.roles import reports

PEMS = Path(__file__).parents[2] / "certificates"


@dataclass
class Named:
    """What the line needs of a listener."""

    name: str


LISTENERS = [Named(name) for name in ("http://127.0.0.1:80", "http://[::1]:80", "unix:/http://x", "http://[::1]:80")]


@pytest.mark.parametrize(
    ("certfile", "line"),
    [
        (None, "http://127.0.0.1:80,http://[::1]:80,unix:/http://x"),
        ("cert.pem", "https://127.0.0.1:80,https://[::1]:80,unix:/http://x"),
    ],
)
def test_addresses_are_told_once_and_with_their_scheme(certfile, line):
    assert reports.addresses(LISTENERS, Settings.defaults(certfile=certfile)) == line


@pytest.mark.parametrize(("name", "lines"), [("localhost", 0), ("expired", 1)])
def test_certificates_that_no_client_accepts_are_told(caplog, name, lines):
    certificates = Certificates.load(Settings.defaults(certfile=str(PEMS / f"{name}.pem")))
    log = logging.getLogger("test")
    reports.tell_doubts(log, certificates)
    reports.tell_doubts(log, None)
    assert caplog.messages == lines * [
        f'clients will not accept a certificate file={PEMS}/expired.pem reason="certificate has expired"'
    ]
