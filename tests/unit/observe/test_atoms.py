"""observe/atoms.py (what each atom says is in test_access.py)"""

import copy
import json
import logging
import pickle

import pytest

from ostler.lifecycle import RequestFinished
from ostler.observe.atoms import LazyAtoms, SafeAtoms, TimeStamp, safe

NAMES = set("hlutrmUqHsbBfaTDMLp")


def atoms(**changes):
    values = {
        "environ": {"REMOTE_ADDR": "192.0.2.7", "PATH_INFO": "/a", "QUERY_STRING": "", "wsgi.url_scheme": "http"},
        "request_fields": [("host", "example.org"), ("x-id", "first"), ("x-id", 'la"st')],
        "status": "200 OK",
        "response_fields": [("Content-Type", "text/plain")],
        "sent": 12,
        "duration_s": 3.004321,
        "method": "GET",
        "target": "/a",
        "protocol": "HTTP/1.1",
    }
    return LazyAtoms(RequestFinished(**(values | changes)), TimeStamp(lambda: 0.0))


BRACED = {
    "{host}i", "{x-id}i", "{content-type}o", "{remote_addr}e", "{path_info}e", "{query_string}e", "{wsgi.url_scheme}e"
}  # fmt: skip


def test_values_have_gunicorns_types():
    found = atoms()
    expected = {"T": 3, "D": 3004321, "M": 3004, "L": "3.004321", "s": "200", "b": "12", "B": 12, "m": "GET", "u": "-"}
    assert {name: found[name] for name in expected} == expected


def test_nothing_is_made_before_it_is_asked_for():
    found = atoms()
    assert bool(found)
    assert found["U"] == "/a"
    assert set(dict.keys(found)) <= {"U", "t"}


def test_the_time_is_that_of_the_request_whenever_it_is_asked_for():
    now = [0.0]
    found = LazyAtoms(atoms()._event, TimeStamp(lambda: now[0]))
    now[0] = 86_400.0
    assert found["t"] == TimeStamp(lambda: 0.0).read()


def test_a_name_in_braces_is_found_in_any_case_and_a_missing_one_is_a_dash():
    found = atoms()
    assert (found["{X-Id}i"], found["{REMOTE_ADDR}e"], found["{none}i"], found["nonsense"]) == (
        'la\\"st', "192.0.2.7", "-", "-",
    )  # fmt: skip
    assert found.get("{X-Id}i") is None  # as with Gunicorn's dict
    assert found.get("{x-id}i") == 'la\\"st'
    assert found.get("none", 7) == 7


@pytest.mark.parametrize(
    "look",
    [
        dict, lambda found: dict(found.items()), lambda found: {**found}, lambda found: found.copy(),
        lambda found: {name: found[name] for name in found}, lambda found: found | {}, lambda found: {} | found,
        lambda found: dict(zip(found.keys(), found.values(), strict=True)), copy.copy, copy.deepcopy,
        lambda found: pickle.loads(pickle.dumps(found)), lambda found: json.loads(json.dumps(found)),
        lambda found: json.loads(json.dumps(found, indent=1)), lambda found: dict(**found),
    ],
)  # fmt: skip
def test_whoever_looks_at_the_whole_sees_all_of_it(look):
    seen = look(atoms())
    assert set(seen) == NAMES | BRACED
    assert seen["U"] == "/a"
    assert seen["{x-id}i"] == 'la\\"st'
    assert seen["D"] == 3004321


def test_it_can_be_asked_and_changed_as_a_dict():
    found = atoms()
    assert "U" in found
    assert "{host}i" in found
    assert "{none}i" not in found
    assert 7 not in found
    assert len(found) == len(NAMES | BRACED)
    assert atoms() == atoms()
    found = atoms()
    found["h"] = "hidden"
    del found["a"]
    assert found.pop("f") == "-"
    assert (found["h"], dict(found)["h"], found["a"]) == ("hidden", "hidden", "-")
    assert "f" not in found
    assert "'h': 'hidden'" in repr(found)


def test_a_record_keeps_the_dict_as_its_args():
    record = logging.LogRecord("gunicorn.access", logging.INFO, "", 0, "%(m)s %({x-id}i)s", (atoms(),), None)
    assert type(record.args) is LazyAtoms
    assert record.getMessage() == 'GET la\\"st'


def test_plain_atoms_escape_text_and_leave_the_rest():
    found = SafeAtoms({"a": 'say "hi"\n', "B": 5, "{x}i": "y"})
    assert found == {"a": 'say \\"hi\\"\\n', "B": 5, "{x}i": "y"}
    assert (found["{X}i"], found["none"], found["{None}i"]) == ("y", "-", "-")


def test_a_client_cannot_end_its_field_by_a_backslash_before_a_quote():
    assert safe('x\\" 200 "fake') == 'x\\\\\\" 200 \\"fake'
