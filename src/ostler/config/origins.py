"""Where values come from, as `Settings.origins` and error lines say it."""

DEFAULT_ORIGIN = "default"
COMMAND_LINE = "command line"


def origin_phrase(origin: str) -> str:
    """An origin as it reads in a sentence."""
    return "the command line" if origin == COMMAND_LINE else origin
