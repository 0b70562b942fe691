"""`http/grammar.py`: expressions and bounded memos."""

import pytest

from ostler.http.errors import HttpError
from ostler.http.grammar import CHUNK_LINE, Memo, field_names, hosts, only_text


def test_only_text_wants_every_cr_and_lf_in_a_pair() -> None:
    assert only_text(b"a\tb\x80\xff", 0)
    assert only_text(b"a\r\nb\r\n", 2)
    assert not only_text(b"a\r\nb\r", 1)
    assert not only_text(b"a\nb", 0)
    for control in [*range(9), *range(10, 32), 127]:
        assert not only_text(b"a" + bytes([control]), 0)


def test_field_names_become_lower_case_and_must_be_tokens() -> None:
    assert field_names["X-Forwarded-FOR"] == "x-forwarded-for"
    for name in ("", "a b", "a\x00", "caf\xe9", "a:", "a\t", "\u212a"):
        with pytest.raises(HttpError) as caught:
            field_names[name]
        assert caught.value.status == 400


def test_a_memo_is_bounded_and_keeps_its_seed() -> None:
    calls: list[str] = []

    def answer(key: str) -> str:
        calls.append(key)
        return key.upper()

    memo = Memo(answer, seed=("seed",), capacity=10, longest=8)
    for number in range(1000):
        assert memo[f"k{number}"] == f"K{number}"
        assert len(memo) <= 10
    calls.clear()
    assert memo["seed"] == "SEED"
    assert calls == []


def test_a_memo_never_keeps_a_long_key() -> None:
    memo = Memo(str.upper, longest=8)
    assert memo["a" * 9] == "A" * 9
    assert len(memo) == 0


def test_a_memo_does_not_keep_what_raises() -> None:
    before = len(hosts)
    with pytest.raises(HttpError):
        hosts["a b"]
    assert len(hosts) == before


@pytest.mark.parametrize("host", ["", "a", "a.b:80", "a:", "1.2.3.4", "[::1]", "[::1]:80", "a%20b", "a_b"])
def test_hosts_that_are_good(host: str) -> None:
    assert hosts[host] == host


@pytest.mark.parametrize(
    "host",
    ["a b", "u@h", "h:x", "h/x", "<h>", "caf\xe9", "[::1", "::1", "[g::]", "[1.2.3.4]", "a:123456", "a%g0"],
)
def test_hosts_that_are_refused(host: str) -> None:
    with pytest.raises(HttpError):
        hosts[host]


def test_long_hostile_chunk_lines_are_judged_at_once() -> None:
    for line in (
        b"5;" + b"a" * 50_000,
        b"5" + b" " * 50_000,
        b"5;a=" + b'"' + b"\\a" * 25_000,
        b"5" + b";a " * 20_000,
    ):
        assert CHUNK_LINE.fullmatch(line) is None or line.endswith(b"a")
