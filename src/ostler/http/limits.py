"""How much of a request's head, chunk framing and trailers is taken before it is refused.

The first three are the operator's (`limit_request_line`, `limit_request_fields`, `limit_request_field_size`; 0 means
no limit of that kind). Whatever they say, a head stays finite: `head_bytes`.
"""

from dataclasses import dataclass
from typing import Final

UNLIMITED_PART_BYTES: Final = 1024 * 1024
"""What a part of the head without a limit of its own may still add to the whole."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes. A line's limit is without its CRLF, a field's with it (as Gunicorn counts)."""

    request_line: int = 4094
    fields: int = 100
    field_size: int = 8190
    trailer_bytes: int = 16 * 1024
    """All trailers of one body together."""
    chunk_extension_bytes: int = 16 * 1024
    """All chunk extensions of one body together (Go's CVE-2023-39326, Puma's CVE-2024-21647)."""

    @property
    def head_bytes(self) -> int:
        """The most that one head may have, from its request line to its empty line, both included."""
        line = self.request_line or UNLIMITED_PART_BYTES
        fields = self.fields * (self.field_size + 2) if self.fields and self.field_size else UNLIMITED_PART_BYTES
        return line + fields + 4
