"""tests/corpus/http1 over real sockets: every kind accepts and refuses the same bytes, with the same words.

What the parser makes of each case is tests/unit's business. Here is what a client and an application see of it, with a
further request behind it that has to be served, or must not be.
"""

import json
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from tests.contract.kinds import KINDS, KindServer, serving
from tests.unit.http.corpus import REQUESTS, Case, raw

LAST = b"GET /last HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n"
TOPICS = sorted({case["id"].partition(":")[0] for case in REQUESTS})
STATUS = re.compile(rb"(?m)^HTTP/1\.1 ([2-5]\d\d) ")
CALL = re.compile(rb"(?im)^x-call: (.*)\r$")


@pytest.fixture(scope="module", params=KINDS, ids=str)
def server(request: pytest.FixtureRequest) -> Iterator[KindServer]:
    with serving(KindServer, request.param, name="recording", options=["--lingering-timeout", "1"]) as server:
        yield server
        assert "Traceback" not in server.log(), server.log()


def asked(server: KindServer, data: bytes, leaves: bool) -> tuple[list[int], list[dict[str, Any]]]:
    """The statuses of all answers, without interim ones, and what the application says it was asked."""
    with server.client() as client:
        with suppress(ConnectionError):
            client.send(data)
            if leaves:
                client.finish_sending()
        while client.fill():
            pass
        answers = bytes(client.buffer)
    return [int(status) for status in STATUS.findall(answers)], [json.loads(call) for call in CALL.findall(answers)]


def fault_of(server: KindServer, case: Case) -> str:
    """In which way this kind does not give the case its verdict; "" when it does."""
    kind, data = server.kind, raw(case["request"])
    leaves = bool({"end", "waiting"} & case.keys())
    accepted: dict[str, Any] | None = None if "leniency" in case else case.get("accepted")
    status = case.get("strict", case.get("status"))
    statuses, calls = asked(server, data if leaves else data + LAST, leaves)
    if case["id"] in kind.stricter:
        return "" if statuses == [kind.stricter[case["id"]]] else f"answered with {statuses}"
    if kind.name == "asgi" and accepted is not None and accepted.get("upgrade") == "websocket":
        # It is WebSocket's, whose handshake asks for more fields.
        return "" if statuses[:1] == [400] else f"a handshake without a key was answered with {statuses}"
    targets = [] if accepted is None else [accepted.get("target"), *accepted.get("then", ())]
    if accepted is not None and not status and not leaves and accepted.get("reused", True):
        targets.append("/last")
    expected = [200] * len(targets) + ([status] if status else [])
    either = [expected]
    if "waiting" in case:  # the client's end comes before a verdict
        either += [[*expected, 400], [*expected, 408]]
    if kind.on_a_loop and targets and status and "end" in case:  # it may come before the application's answer, too
        either.append(expected[:-1])
    if statuses not in either:
        return f"answered with {statuses}, expected was {expected}"
    if len(calls) != len(targets):
        return f"served: {calls}"
    behind = [unquote_to_bytes(target).decode("latin-1") for target in targets[1:]]
    if [call["path"] for call in calls[1:]] != behind:
        return f"served: {calls}, expected behind the first one was {behind}"
    return difference(calls[0], accepted) if accepted is not None else ""


def difference(call: dict[str, Any], accepted: dict[str, Any]) -> str:
    """What the application was told, and the case says otherwise."""
    expected: dict[str, Any] = {name: accepted[name] for name in ("method", "query") if name in accepted}
    if "path" in accepted:
        expected["path"] = unquote_to_bytes(accepted["path"]).decode("latin-1")
    if "body" in accepted:
        body = accepted["body"].encode("latin-1")
        expected["body"] = f"{len(body)} {zlib.crc32(body)}"
    seen = {name: call[name] for name in expected}
    return "" if seen == expected else f"the application saw {seen}, expected was {expected}"


@pytest.mark.parametrize("topic", TOPICS)
def test_the_verdict_is_the_same_over_a_socket(server: KindServer, topic: str) -> None:
    cases = [case for case in REQUESTS if case["id"].startswith(f"{topic}:") and "limits" not in case]
    assert cases
    faults = {case["id"]: fault for case in cases if (fault := fault_of(server, case))}
    assert not faults, "\n".join(f"{name}: {fault}" for name, fault in faults.items())
