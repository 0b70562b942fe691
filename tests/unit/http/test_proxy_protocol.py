"""`http/proxy_protocol.py`: every header of tests/corpus/proxy_protocol has its verdict as early as it can be known."""

import contextlib
import random
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostler.http.connection import Address
from ostler.http.errors import HttpError
from ostler.http.proxy_protocol import (
    V2_BYTES,
    ProxyMode,
    crc32c,
    looks_like_proxy_header,
    read_proxy_header,
)
from tests.unit.corpora import Case, cases, data_of

CASES: Final = cases("proxy_protocol")
REFUSED: Final = [case for case in CASES if "early" in case.values[0]]
ACCEPTED: Final = [case for case in CASES if "protocol" in case.values[0]]
REQUEST: Final = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def mode_of(case: Case) -> ProxyMode:
    return ProxyMode(case.get("mode", "auto"))


def address_of(said: list[Any] | str | None) -> Address | None:
    return (said[0], said[1]) if isinstance(said, list) else said


def test_every_case_has_a_verdict() -> None:
    assert len(REFUSED) + len(ACCEPTED) == len(CASES)


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_good_header_is_read_once_it_is_complete(case: Case) -> None:
    data = data_of(case)
    for end in range(len(data)):
        assert read_proxy_header(data[:end], mode_of(case)) is None
    for behind in (b"", REQUEST, data):
        found = read_proxy_header(bytearray(data + behind), mode_of(case))
        assert found is not None
        proxied, length = found
        assert length == len(data)
        assert proxied.protocol == case["protocol"]
        assert proxied.source == address_of(case.get("source"))
        assert proxied.destination == address_of(case.get("destination"))


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_header_is_refused_with_the_byte_that_makes_it_certain(case: Case) -> None:
    data = data_of(case)
    early = case["early"]
    assert read_proxy_header(data[: early - 1], mode_of(case)) is None
    for seen in (data[:early], data, data + REQUEST):
        with pytest.raises(HttpError) as caught:
            read_proxy_header(seen, mode_of(case))
        assert caught.value.status == 400
        assert caught.value.detail


def test_nothing_is_decided_before_the_first_byte() -> None:
    for mode in (ProxyMode.V1, ProxyMode.V2, ProxyMode.AUTO):
        assert read_proxy_header(b"", mode) is None


def test_a_stranger_s_header_is_recognised() -> None:
    assert looks_like_proxy_header(b"PROXY TCP4 192.0.2.1")
    assert looks_like_proxy_header(b"\r\n\r\n\0\r\nQUIT\n\x21")
    for other in (b"", b"PROXY", b"PROXYS / HTTP/1.1", b"\r\n\r\nGET / HTTP/1.1"):
        assert not looks_like_proxy_header(other)


def test_the_checksum_is_that_of_the_rfc() -> None:
    # RFC 3720 appendix B.4.
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes([0xFF] * 32)) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


HEADERS: Final = [data_of(case.values[0]) for case in CASES if len(data_of(case.values[0])) < 250]


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """A header of the corpus with a few bytes changed, taken out or put in."""
    data = bytearray(draw(st.sampled_from(HEADERS)))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        data[start : start + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


@settings(max_examples=400)
@given(st.one_of(mutants(), st.binary(max_size=150)), st.sampled_from([ProxyMode.V1, ProxyMode.V2, ProxyMode.AUTO]))
def test_more_bytes_never_change_a_verdict(data: bytes, mode: ProxyMode) -> None:
    verdicts: list[object] = []
    for end in range(len(data) + 1):
        try:
            verdicts.append(read_proxy_header(data[:end], mode))
        except HttpError as error:
            verdicts.append(error.status)
    decided = [verdict for verdict in verdicts if verdict is not None]
    assert verdicts == [None] * (len(verdicts) - len(decided)) + decided
    assert all(verdict == decided[0] for verdict in decided)


def test_a_header_never_waits_for_more_than_its_cap() -> None:
    source = random.Random(1)
    for _ in range(200):
        data = source.choice(HEADERS) + source.randbytes(V2_BYTES)
        with contextlib.suppress(HttpError):
            assert read_proxy_header(data, ProxyMode.AUTO) is not None
