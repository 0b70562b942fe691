"""What a target raises when a promise is broken."""


class Finding(AssertionError):
    """An input for which the code under test does not keep its promise. The text says which one, and how."""


def expect(kept: bool, promise: str, *facts: object) -> None:
    """Raise `Finding` unless the promise is kept; the facts are what was seen instead."""
    if not kept:
        raise Finding(f"{promise}: {', '.join(map(repr, facts))}" if facts else promise)
