"""Each scenario once, with few repetitions, and the conditions spread over them. `make faults` plays the whole matrix.

What is not as it should be is shown with the requests that failed and the server's log.
"""

import pytest

from tests.faults.conditions import KINDS, Condition
from tests.faults.contestants import Ostler
from tests.faults.scenarios import SCENARIOS

CONDITIONS = {
    "reload": Condition("gthread", "unix", "direct", preload=True),
    "recycle": Condition("sync", "tcp", "nginx", preload=True),
    "reexec": Condition("sync", "unix", "direct", preload=True),
    "bad-import": Condition("gthread", "tcp", "nginx", preload=True),
    "bad-check": Condition("sync", "unix", "nginx", preload=False),
    "bad-hang": Condition("sync", "tcp", "direct", preload=True),
    "bad-exit": Condition("gthread", "unix", "direct", preload=False),
    "reexec-bad": Condition("gthread", "tcp", "direct", preload=True),
    "lame-duck": Condition("gthread", "unix", "nginx", preload=False),
    "term": Condition("gthread", "tcp", "direct", preload=False),
    "term-all": Condition("sync", "unix", "direct", preload=True),
    "kill-worker": Condition("sync", "tcp", "direct", preload=True),
    "kill-mold": Condition("gthread", "unix", "direct", preload=True),
    "kill-master": Condition("gthread", "tcp", "direct", preload=True),
}
MORE = [
    ("reload", Condition("asgi", "tcp", "nginx", preload=False)),
    ("recycle", Condition("gevent", "unix", "direct", preload=False)),
    ("bad-import", Condition("gevent", "tcp", "direct", preload=True)),
    ("term", Condition("asgi", "unix", "direct", preload=True)),
    ("term-all", Condition("gevent", "tcp", "direct", preload=False)),
    ("kill-worker", Condition("asgi", "unix", "direct", preload=False)),
]
"""Again, where a kind with a loop of its own could go another way."""
PLAYED = [*CONDITIONS.items(), *MORE]
RECOVERY_LIMIT_MS = 2000
GONE_LIMIT_S = 3.0
"""`make faults` judges by 100 ms and 1 s; other tests have the processors here, too. No pause on purpose is shorter."""


def test_every_scenario_is_played_and_every_condition_is_among_them() -> None:
    assert [scenario.name for scenario in SCENARIOS] == list(CONDITIONS)
    for name, values in (
        ("kind", set(KINDS)),
        ("transport", {"tcp", "unix"}),
        ("path", {"direct", "nginx"}),
        ("preload", {True, False}),
    ):
        assert {getattr(condition, name) for _, condition in PLAYED} == values


@pytest.mark.parametrize(("name", "condition"), [pytest.param(*one, id=f"{one[0]}-{one[1].kind}") for one in PLAYED])
def test_nothing_is_lost(name: str, condition: Condition) -> None:
    (scenario,) = (scenario for scenario in SCENARIOS if scenario.name == name)
    outcome = scenario.play(Ostler(), condition, scenario.quick)
    print(f"{outcome.requests} requests; {dict(outcome.counts)}; full strength after boot + {outcome.recovery_ms} ms")
    assert not outcome.failed, "; ".join(map(str, outcome.failed))
    assert not outcome.problems
    assert outcome.requests > 50
    assert not outcome.counts["without pipelining"]
    assert (outcome.recovery_ms or 0) <= RECOVERY_LIMIT_MS
    assert (outcome.gone_s or 0) <= GONE_LIMIT_S
