"""Chapter "Security": limits of a request's head."""

from ostler.config.parse import read_integer
from ostler.config.setting import ReloadEffect, Section, Setting

MOST_FIELDS = 32768
_read_count = read_integer()


def read_field_count(raw: object) -> int:
    """A number of fields; 0 and anything above the hard cap are the hard cap."""
    return min(_read_count(raw) or MOST_FIELDS, MOST_FIELDS)


SETTINGS = (
    Setting(
        name="limit_request_line",
        section=Section.SECURITY,
        flags=("--limit-request-line",),
        metavar="INT",
        read=_read_count,
        default=4094,
        reload=ReloadEffect.WORKERS,
        doc="The longest request line in bytes; 0 is no limit. Gunicorn silently caps it at 8190; Ostler does not.",
    ),
    Setting(
        name="limit_request_fields",
        section=Section.SECURITY,
        flags=("--limit-request-fields",),
        metavar="INT",
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
        read=_read_count,
        default=8190,
        reload=ReloadEffect.WORKERS,
        doc="The longest header field in bytes; 0 is no limit. (Gunicorn's code takes 0 for 8190.)",
    ),
)
