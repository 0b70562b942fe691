"""`http/head.py`: the parse result."""

from ostler.http.head import RequestHead
from ostler.http.limits import Limits
from ostler.http.parse import parse_head


def test_it_takes_no_other_attribute() -> None:
    head = parse_head(b"GET /a HTTP/1.1\r\nHost: a", Limits())
    assert not hasattr(head, "__dict__")
    assert isinstance(head, RequestHead)
    assert repr(head) == "<RequestHead GET /a HTTP/1.1>"
