"""app/environ.py: every case of tests/corpus/environ, from what is on the wire to the keys that come of it."""

from dataclasses import replace

import pytest

from ostler.app.environ import EnvironTemplate
from ostler.config.sections import TABLE
from ostler.config.settings import Settings
from ostler.http.connection import Peer, Proxied, Secured
from ostler.http.errors import HttpError
from ostler.http.limits import Limits
from ostler.http.parse import parse_head
from tests.unit.corpora import cases

READERS = {entry.name: entry.read for entry in TABLE}
PEERS = {
    "stranger": Peer(("192.0.2.1", 40000), ("127.0.0.1", 8000)),
    "proxy": Peer(("127.0.0.1", 40000), ("127.0.0.1", 8000)),
    "unix": Peer("", "/run/app.sock"),
}
TLS = Secured("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, None, False, None, None)


def proxied_of(said):
    if said is None or isinstance(said, str):
        return None if said is None else Proxied(said, None, None)
    source, destination = (tuple(end) if isinstance(end, list) else end for end in said)
    return Proxied("UNIX" if isinstance(source, str) else "TCP4", source, destination)


def peer_of(case):
    peer = PEERS[case.get("peer", "stranger")]
    return Peer(peer.address, peer.local, proxied_of(case.get("proxied")), TLS if case.get("tls") else None)


def head_of(case):
    over_uwsgi = "params" in case
    line = f"GET {case.get('path', '/')} HTTP/1.0" if over_uwsgi else case.get("line", "GET / HTTP/1.1")
    fields = list(case.get("fields", ()))
    if not over_uwsgi and not any(field.lower().startswith("host:") for field in fields):
        fields.insert(0, "Host: a")
    head = parse_head("\r\n".join([line, *fields]).encode("latin-1"), Limits())
    head.params = case.get("params")
    return head


def build(case):
    given = case.get("settings", {})
    settings = Settings.defaults(**{name: READERS[name](raw) for name, raw in given.items()})
    settings = replace(settings, origins=dict.fromkeys(given, "a file"))
    template = EnvironTemplate(settings, {"SERVER_SOFTWARE": "ostler/test"}, case.get("process", {}))
    shared = template.for_connection(peer_of(case))
    first = template.build(shared, head_of(case))
    assert template.build(shared, head_of(case)) == first
    return first


@pytest.mark.parametrize("case", cases("environ"))
def test_the_environ_is_what_may_be_believed(case):
    if "status" in case:
        with pytest.raises(HttpError) as caught:
            build(case)
        assert caught.value.status == case["status"]
        return
    environ = build(case)
    expected = case.get("environ", {})
    assert {key: environ.get(key) for key in expected} == expected
    assert environ.keys() & set(case.get("absent", ())) == set()
    assert all(type(value) is str for key, value in environ.items() if not key.startswith("wsgi."))
