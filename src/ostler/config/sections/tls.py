"""Chapter "TLS". Not built yet: only what leaves it off is accepted; `ssl_version` means nothing anywhere."""

from ostler.config.sections.shapes import LATER, OFF_SWITCH, OFF_TEXT, Off, OffNumber, later
from ostler.config.setting import FlagKind, ReloadEffect, Section, Setting, Support, Takes

_NOTE = f"TLS is {LATER}"

SETTINGS = (
    later("keyfile", Section.TLS, _NOTE, read=OFF_TEXT, flags=("--keyfile",), metavar="FILE"),
    later("certfile", Section.TLS, _NOTE, read=OFF_TEXT, flags=("--certfile",), metavar="FILE"),
    Setting(
        name="ssl_version",
        section=Section.TLS,
        flags=("--ssl-version",),
        read=lambda raw: raw,
        default=None,
        default_text="none",
        reload=ReloadEffect.WORKERS,
        support=Support.UNUSED,
        note="Gunicorn ignores it too; the versions of TLS will be a matter of the SSL context",
        doc="Without meaning, in Gunicorn too. Accepted with one info line.",
        takes=Takes.INTEGER_OR_TEXT,
    ),
    later("cert_reqs", Section.TLS, _NOTE, read=OffNumber(0), flags=("--cert-reqs",), takes=Takes.INTEGER),
    later("ca_certs", Section.TLS, _NOTE, read=OFF_TEXT, flags=("--ca-certs",), metavar="FILE"),
    later(
        "suppress_ragged_eofs",
        Section.TLS,
        _NOTE,
        read=Off(True, "true"),
        flags=("--suppress-ragged-eofs",),
        kind=FlagKind.ON,
        takes=Takes.SWITCH,
    ),
    later(
        "do_handshake_on_connect",
        Section.TLS,
        _NOTE,
        read=OFF_SWITCH,
        flags=("--do-handshake-on-connect",),
        kind=FlagKind.ON,
        takes=Takes.SWITCH,
    ),
    later("ciphers", Section.TLS, _NOTE, read=OFF_TEXT, flags=("--ciphers",)),
)
