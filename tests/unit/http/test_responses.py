"""Every case of tests/corpus/http1/responses.toml: what an exchange makes of it, and what a client sees of it."""

from typing import Any

import pytest

from tests.unit.app.serving import Serving
from tests.unit.http.corpus import RESPONSES, SECTION, Case, load, raw
from tests.unit.http.serving import GET, OURS, REFUSAL, Said, try_response

CASES = load(RESPONSES)

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])


def served(case: Case) -> Serving:
    """The case's response as a WSGI application gives it: a list, or an iterator where it has blocks."""
    said = Said(case)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        if case.get("reads", False):
            environ["wsgi.input"].read()
        start_response(said.line, said.fields)
        return iter(said.blocks) if "blocks" in case else said.blocks

    pieces = [raw(piece) for piece in case.get("later", ())]
    return Serving(application, raw(case.get("request", GET)), pieces)


@each_case
def test_an_exchange_sends_it_or_refuses_it_whole(case: Case) -> None:
    try_response(case)


@each_case
def test_a_client_gets_it_or_a_500(case: Case) -> None:
    serving = served(case)
    sent = serving.sent.replace(OURS, b"", 1)
    if "refused" in case:
        assert sent == REFUSAL
        assert len(serving.errors) == 1
        assert serving.connection.closed
    elif "broken" in case:
        # A first block that does not fit its length is found before anything was sent.
        assert sent in {raw(case["sent"]), REFUSAL}
        assert serving.connection.closed
    elif "blocks" in case:
        # An iterator that turns out empty is a body of no bytes, and its length is known.
        empty = b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        assert sent == raw(case["sent"]).replace(empty, b"Content-Length: 0\r\n\r\n")
    else:
        assert sent == raw(case["sent"])


@each_case
def test_it_names_the_sections_that_settle_it(case: Case) -> None:
    assert all(SECTION.fullmatch(section) for section in case["rfc"].split(", ")), case["rfc"]
    assert {"refused", "sent"} & case.keys()
