"""Chapter "HTTP/2". Not built yet: only HTTP/1.1 and the default limits are accepted."""

from ostler.config.sections.shapes import LATER, Off, OffNumber, later
from ostler.config.setting import Section, Setting, Takes

_NOTE = f"HTTP/2 is {LATER}"


def _limit(name: str, default: int) -> Setting:
    flag = f"--{name.replace('_', '-')}"
    return later(
        name, Section.HTTP2, _NOTE, read=OffNumber(default), flags=(flag,), metavar="INT", takes=Takes.INTEGER
    )


SETTINGS = (
    later(
        "http_protocols",
        Section.HTTP2,
        _NOTE,
        read=Off("h1", "", ["h1"], []),
        flags=("--http-protocols",),
        takes=Takes.TEXTS,
    ),
    later(
        "http2_cleartext",
        Section.HTTP2,
        _NOTE,
        read=Off("off", False),
        flags=("--http2-cleartext",),
        takes=Takes.SWITCH_OR_TEXT,
        choices=("off", "prior-knowledge", "upgrade", "both"),
    ),
    _limit("http2_max_concurrent_streams", 100),
    _limit("http2_initial_window_size", 65535),
    _limit("http2_max_frame_size", 16384),
    _limit("http2_max_header_list_size", 65536),
)
