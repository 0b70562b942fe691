"""A form that checks e-mail addresses with a regular expression, and one address that it never comes back from.

    curl 'localhost:8000/subscribe?address=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@'

The expression can divide a run of letters in 2**n ways, and tries them all before it says no. `re` is C code and holds
the interpreter's lock meanwhile: no other thread of the process runs, be it the server's.
"""

import re
from urllib.parse import parse_qs

ADDRESS = re.compile(r"([a-z]+[.]?)+@[a-z]+[.][a-z]+")


def app(environ, start_response):
    address = parse_qs(environ["QUERY_STRING"]).get("address", [""])[0]
    known = not address or is_address(address)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"thank you\n" if known else b"is that an address?\n"]


def is_address(text):
    return ADDRESS.fullmatch(text) is not None  # broken: takes 2**len(text) steps when the text does not match
