"""The fuzzer itself, in short: its seeds pass, its planted bugs fit the code, and it finds the quick ones of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from fuzz import planted, targets
from fuzz.corpus import ROOT
from fuzz.finding import Finding, expect
from fuzz.mutation import Mutator, tokens
from fuzz.running import why_not

BUGS = planted.bugs()
QUICK_RUNS = 20_000


@pytest.mark.parametrize("name", targets.NAMES)
def test_no_seed_is_a_finding(name: str) -> None:
    target = targets.load(name)
    for seed in target.seeds(False):
        target.check(seed)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_fits_the_code(bug: planted.Bug, tmp_path: Path) -> None:
    source = planted.plant(bug, tmp_path)
    for name, _, replacement in bug.edits:
        code = (source / "ostler" / name).read_text("utf-8")
        assert replacement in code
        compile(code, name, "exec")


def test_a_planted_bug_that_fits_no_longer_is_named(tmp_path: Path) -> None:
    bug = planted.Bug("gone", "requests", False, [("http/parse.py", "no such text", "")])
    with pytest.raises(ValueError, match=r"planted\.toml, 'gone': expected its text once in http/parse\.py, found 0"):
        planted.plant(bug, tmp_path)


@pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug.quick], ids=lambda bug: bug.name)
def test_the_fuzzer_finds_a_planted_bug_that_its_seeds_do_not_show(bug: planted.Bug, tmp_path: Path) -> None:
    proof = planted.look_for(bug, tmp_path, QUICK_RUNS)
    assert proof.result.finding is not None, proof
    replayed = subprocess.run(
        [sys.executable, "-m", "fuzz.replay", proof.result.finding],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "nothing fails" in replayed.stdout, "the code without the bug fails, too"
    assert replayed.returncode == 0


def test_changes_are_a_function_of_their_seed() -> None:
    mutator = Mutator(2, lambda data, _: data, tokens())
    text = b"\0\0GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    changed = [mutator(text, 60, seed) for seed in range(200)]
    assert changed == [mutator(text, 60, seed) for seed in range(200)]
    assert len(set(changed)) > 80
    assert max(map(len, changed)) <= 60


def test_a_broken_promise_is_told_with_what_was_seen() -> None:
    expect(True, "kept")
    with pytest.raises(Finding, match=r"the sky is blue: 'grey', 3"):
        expect(False, "the sky is blue", "grey", 3)
