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


@dataclass
class Dead:
    """What the line needs of a child."""

    last_words: str
    sight: object = None
    pid: int = 42


STACKS = 'Thread 0x00007f36f3439b80 (most recent call first):\n  File "/srv/shop.py", line 7 in total\n'


@pytest.mark.parametrize(
    ("dead", "told"),
    [
        (Dead(STACKS), False),  # asked for by `ostler stacks`, come too late
        (Dead(STACKS, sight="hung"), True),
        (Dead(STACKS + "Fatal Python error: Segmentation fault\n"), True),
        (Dead("os._exit(7) was called\n" + STACKS), True),
        (Dead("Fatal Python error: Segmentation fault\n\n" + STACKS), True),
        (Dead("\n"), False),
    ],
)
def test_stacks_that_an_operator_asked_for_are_no_last_words(caplog, dead, told):
    reports.tell_unexpected_text(logging.getLogger("test"), dead)
    assert [text.partition("\n")[0] for text in caplog.messages] == told * ["worker left a stack dump pid=42"]
