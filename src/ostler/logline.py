"""How a line of the error log reads: a constant sentence, then `key=value`. One event, one line.

Rules for editing: pure text, for every layer. What comes from outside (a client, the system, an application) is a value
of `fields`, or goes through `escape`, so that it can neither end a line nor look like another key.
"""


def escape(text: str) -> str:
    """Text on one line: every character that is not printable, line separators included, as \\n, \\x1b, \\u2028."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def fields(sentence: str, /, **values: object) -> str:
    """`worker ready slot=0 gen=5 error="no such file"`: always one line, values with spaces in quotes."""
    return " ".join([sentence, *(f"{name}={_value(value)}" for name, value in values.items())])


def _value(value: object) -> str:
    match value:
        case None:
            return "-"
        case float():
            return f"{value:.3f}".rstrip("0").rstrip(".")
    text = escape(str(value))
    if text and not any(each in text for each in ' "='):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
