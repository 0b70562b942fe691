"""What is taken of a request before it is refused: how much of it (`Limits`), and what against the rules (`Leniency`).

The first four limits are the operator's (`limit_request_line`, `limit_request_fields`, `limit_request_field_size`,
`limit_request_body`; 0 means no limit of that kind). Whatever they say, a head stays finite: `head_bytes`.
"""

from dataclasses import dataclass
from typing import Final

UNLIMITED_PART_BYTES: Final = 1024 * 1024
"""What a part of the head without a limit of its own may still add to the whole."""


@dataclass(frozen=True, slots=True)
class Leniency:
    """Gunicorn's five permissions for old or odd clients; what each does is said in lenient.py. All off by default."""

    permit_obsolete_folding: bool = False
    strip_header_spaces: bool = False
    permit_unconventional_http_method: bool = False
    permit_unconventional_http_version: bool = False
    casefold_http_method: bool = False


STRICT: Final = Leniency()


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes. A line's limit is without its CRLF, a field's with it (as Gunicorn counts)."""

    request_line: int = 4094
    fields: int = 100
    field_size: int = 8190
    body: int = 0
    """A request's body, without its framing. In chunks it is counted as they announce themselves."""
    trailer_bytes: int = 16 * 1024
    """All trailers of one body together."""
    chunk_extension_bytes: int = 16 * 1024
    """All chunk extensions of one body together (Go's CVE-2023-39326, Puma's CVE-2024-21647)."""
    leniency: Leniency = STRICT

    def __post_init__(self) -> None:
        # So that the hot path asks `is STRICT`, and a Leniency without permissions costs it nothing.
        if self.leniency == STRICT:
            object.__setattr__(self, "leniency", STRICT)

    @property
    def head_bytes(self) -> int:
        """The most that one head may have, from its request line to its empty line, both included."""
        line = self.request_line or UNLIMITED_PART_BYTES
        fields = self.fields * (self.field_size + 2) if self.fields and self.field_size else UNLIMITED_PART_BYTES
        return line + fields + 4
