"""Chapter "Security": limits of a request, and the rules of HTTP that can be relaxed for old clients."""

from ostler.config.parse import read_integer
from ostler.config.sections.shapes import switch
from ostler.config.setting import ReloadEffect, Section, Setting, Support, Takes

MOST_FIELDS = 32768
_read_count = read_integer()
_NEVER = "never for Host, Content-Length, Transfer-Encoding, Connection, Expect and Upgrade: such requests are refused"


def read_field_count(raw: object) -> int:
    """A number of fields; 0 and anything above the hard cap are the hard cap."""
    return min(_read_count(raw) or MOST_FIELDS, MOST_FIELDS)


def _leniency(name: str, doc: str, note: str = "") -> Setting:
    flag = f"--{name.replace('_', '-')}"
    support = Support.DIFFERS if note else Support.WORKS
    return switch(name, Section.SECURITY, flag, doc, reload=ReloadEffect.WORKERS, support=support, note=note)


SETTINGS = (
    Setting(
        name="limit_request_line",
        section=Section.SECURITY,
        flags=("--limit-request-line",),
        metavar="INT",
        takes=Takes.INTEGER,
        least=0,
        read=_read_count,
        default=4094,
        reload=ReloadEffect.WORKERS,
        support=Support.DIFFERS,
        note="more than 8190, and 0, are what they say; Gunicorn silently takes them for 8190",
        doc="The longest request line in bytes; 0 is no limit. Gunicorn silently caps it at 8190; Ostler does not.",
    ),
    Setting(
        name="limit_request_fields",
        section=Section.SECURITY,
        flags=("--limit-request-fields",),
        metavar="INT",
        takes=Takes.INTEGER,
        least=0,
        read=read_field_count,
        default=100,
        reload=ReloadEffect.WORKERS,
        doc="The most header fields of a request. Never more than 32768, which is also what 0 means.",
    ),
    Setting(
        name="limit_request_field_size",
        section=Section.SECURITY,
        # The underscore is Gunicorn's; the spelling with hyphens is refused there, so it is not ours either.
        flags=("--limit-request-field_size",),
        metavar="INT",
        takes=Takes.INTEGER,
        least=0,
        read=_read_count,
        default=8190,
        reload=ReloadEffect.WORKERS,
        support=Support.DIFFERS,
        note="0 is no limit, as Gunicorn's documentation says; its code takes 0 for 8190",
        doc="The longest header field in bytes; 0 is no limit. (Gunicorn's code takes 0 for 8190.)",
    ),
    Setting(
        name="limit_request_body",
        section=Section.SECURITY,
        flags=("--limit-request-body",),
        metavar="INT",
        takes=Takes.INTEGER,
        least=0,
        read=_read_count,
        default=0,
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
        doc=(
            "The largest body of a request in bytes; 0 is no limit. A larger one is answered with 413: before anything "
            "of it is read when its length is announced, else as soon as it is too large."
        ),
    ),
    _leniency(
        "permit_obsolete_folding",
        "Accept header fields that go on in the next line, and join them with a blank. Proxies may read them "
        "otherwise, which is how requests are smuggled.",
        _NEVER,
    ),
    _leniency(
        "strip_header_spaces",
        "Accept blanks between a field's name and its colon, and remove them. Proxies may read them otherwise, which "
        "is how requests are smuggled.",
        _NEVER,
    ),
    _leniency(
        "permit_unconventional_http_method",
        "Accept any token as the method. Otherwise a method has 3 to 20 characters, and none is a lower-case letter or "
        "`#`.",
    ),
    _leniency(
        "permit_unconventional_http_version",
        "Accept versions of HTTP other than 1.x: one below 1 is served as HTTP/1.0, one above as HTTP/1.1.",
        "HTTP/2.0 in a request line is served as HTTP/1.1, 0.9 as 1.0, and SERVER_PROTOCOL says so",
    ),
    _leniency(
        "casefold_http_method",
        "Make methods upper case before the application sees them. Lower case stays refused without "
        "`permit_unconventional_http_method`.",
    ),
)
