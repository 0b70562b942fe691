from ostler.supervisor.events import Beats
from ostler.supervisor.handle import Handle, State
from ostler.supervisor.heartbeats import Heartbeats


def ready(pid: int, at: float) -> Handle:
    handle = Handle(age=pid, slot=0, generation=1, page=0, now=0.0)
    handle.pid = pid
    handle.enter(State.READY, None)
    handle.ready_at = at
    return handle


def test_silence_counts_from_the_last_beat_or_from_readiness() -> None:
    beats, old, new = Heartbeats(), ready(1, at=0.0), ready(2, at=9.0)
    for second in range(10):
        beats.note(Beats({1: min(second, 4.0)}), [old], now=float(second))
    beats.note(Beats({1: 4.0, 2: 0.0}), [old, new], now=10.0)
    assert (beats.silent_s(old), beats.silent_s(new)) == (6.0, 1.0)


def test_silence_starts_anew_when_we_slept() -> None:
    beats, worker = Heartbeats(), ready(1, at=0.0)
    beats.note(Beats({1: 1.0}), [worker], now=1.0)
    beats.note(Beats({1: 1.0}), [worker], now=60.0)
    assert beats.silent_s(worker) == 0.0
    beats.note(Beats({1: 1.0}), [worker], now=61.0)
    assert beats.silent_s(worker) == 1.0


def test_worker_without_a_page_is_not_silent() -> None:
    beats, worker = Heartbeats(), ready(1, at=0.0)
    beats.note(Beats({}), [worker], now=100.0)
    assert beats.silent_s(worker) == 0.0
