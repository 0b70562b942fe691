"""roles/inquest.py: what the master finds out about workers that hang or are dead."""

from dataclasses import dataclass, field
from time import monotonic

import pytest

from ostler.config.settings import Settings
from ostler.observe.causes import Cause, cure_for
from ostler.observe.diagnosis import Evidence, Finding, Place
from ostler.observe.scoreboard import Page, Scoreboard
from ostler.process.channel import Channel
from ostler.process.fork import Death
from ostler.roles import inquest, reports
from ostler.roles.inquest import Inquest, Sight

NOBODY = 2**22 + 1  # no system has such a pid
CRASH = """Fatal Python error: Segmentation fault

Current thread 0x00007f0a57c6eb80 (most recent call first):
  File "/srv/shop/views.py", line 12 in total
"""


@dataclass
class Worker:
    """As children.py keeps one."""

    settings: Settings
    page: Page | None
    channel: Channel
    pid: int = NOBODY
    last_words: str = ""
    finding: Finding | None = None
    sight: Sight | None = None
    killed: bool = False
    others: list[Channel] = field(default_factory=list)


@pytest.fixture
def worker(request):
    ours, theirs = Channel.pair()
    changes = getattr(request, "param", {})
    settings = Settings.defaults(**({"chdir": "/srv/shop"} | changes))
    page = Scoreboard(1, 3).page(0)
    page.reset(NOBODY, monotonic())
    yield Worker(settings, page, ours)
    ours.close()
    theirs.close()


def serve(page, *targets):
    for target in targets:
        page.begin_request(0, monotonic(), f"GET {target}")
        page.end_request(0, 0.25, 200)


def test_what_is_in_flight_comes_oldest_first_and_the_others_are_counted(worker):
    page = worker.page
    page.begin_request(1, monotonic() - 5, "GET /young?a=1")
    page.begin_request(0, monotonic() - 9, "GET /old")
    page.begin_request(-1, monotonic(), "GET /hidden")
    first, second, more = inquest.in_flight(worker)
    assert first.startswith('request="GET /old" for_s=9')
    assert second.startswith('request="GET /young?a=1" for_s=5')
    assert more == "more_requests=1"


@pytest.mark.parametrize("worker", [{"mask_query": True}], indirect=True)
def test_queries_are_masked_where_it_is_asked_for(worker):
    serve(worker.page, "/before?token=1")
    worker.page.begin_request(0, monotonic(), "GET /now?token=1")
    assert inquest.in_flight(worker)[0].startswith('request="GET /now?***"')
    assert inquest.last_served(worker) == 'last="GET /before?*** 200 0.250 s"'


def test_a_mold_serves_nothing(worker):
    worker.page = None
    assert inquest.in_flight(worker) == []
    assert inquest.last_served(worker) == ""
    verdict = Inquest().hold(worker, Death(NOBODY, None, "SIGSEGV"))
    assert verdict.how == "C code crashed"


def test_of_what_was_served_the_last_three_are_told(worker):
    serve(worker.page, "/1", "/2", "/3", "/4")
    assert inquest.last_served(worker) == 'last="GET /4 200 0.250 s, GET /3 200 0.250 s, GET /2 200 0.250 s"'


def test_a_crash_is_told_with_its_place(worker):
    worker.page.begin_request(0, monotonic(), "GET /x")
    worker.last_words = CRASH
    verdict = Inquest().hold(worker, Death(NOBODY, None, "SIGSEGV", 30_000_000))
    assert verdict.how == "C code crashed"
    assert verdict.serving.startswith('peak_rss_mb=30 request="GET /x" for_s=')
    assert 'at="views.py:12 in total" cure="' + cure_for(Cause.CRASH) in verdict.serving


@pytest.mark.parametrize(
    ("death", "words", "serves", "how", "cause"),
    [
        (Death(1, 7, None), "os._exit(7) was called\n", True, " in a request", Cause.EXIT_CALLED),
        (Death(1, 7, None), "printed\nos._exit(7) was called\n", False, "", Cause.EXIT_CALLED),
        (Death(1, 1, None), CRASH, True, " in a request", Cause.EXITED),
        (Death(1, 0, None), "", False, "", Cause.LEFT),
        (Death(1, None, "SIGTERM"), "", True, "", Cause.KILLED_BY_SOMEBODY),
        (Death(1, None, "SIGXCPU"), "", False, "", Cause.RESOURCE_LIMIT),
    ],
)
def test_deaths_are_told_apart(worker, death, words, serves, how, cause):
    worker.last_words = words
    if serves:
        worker.page.begin_request(0, monotonic(), "GET /x")
    verdict = Inquest().hold(worker, death)
    assert verdict.how == f"{cause}{how}"
    assert f'cure="{cure_for(cause)}"' in verdict.serving
    assert " at=" not in verdict.serving


def test_stacks_that_somebody_has_asked_for_are_no_crash(worker):
    stacks = CRASH.partition("\n\n")[2]
    worker.last_words = stacks
    assert " at=" not in Inquest().hold(worker, Death(1, None, "SIGSEGV")).serving
    worker.last_words = stacks.replace("views", "elsewhere") + CRASH
    assert 'at="views.py:12' in Inquest().hold(worker, Death(1, None, "SIGSEGV")).serving


@pytest.mark.parametrize(
    ("explained", "cause"),
    [
        ("out of memory: the kernel's OOM killer has sent it (machine: oom_kill=1)", Cause.OUT_OF_MEMORY),
        ("not sent by the master, nor by the kernel's OOM killer: somebody has sent it", Cause.KILLED_BY_SOMEBODY),
        ("", Cause.KILLED_BY_SOMEBODY),
    ],
)
def test_a_kill_is_the_kernels_or_somebodys(worker, monkeypatch, explained, cause):
    monkeypatch.setattr("ostler.process.oom.OomKiller.explain", lambda _self: explained)
    verdict = Inquest().hold(worker, Death(NOBODY, None, "SIGKILL"))
    assert verdict.how == explained
    assert f'cure="{cure_for(cause)}"' in verdict.serving
    assert f'gunicorn_says="Worker (pid:{NOBODY}) was sent SIGKILL! Perhaps out of memory?"' in verdict.serving


def test_one_that_the_master_ends_dies_of_what_was_found_before(worker):
    worker.finding = Finding(Place("views.py", 3, "f"), Cause.SLEEP, (Place("a.py", 1, "g"),))
    verdict = Inquest().hold(worker, Death(NOBODY, None, "SIGKILL"))
    assert 'at="views.py:3 in f" other_threads_at="a.py:1 in g" cure="do not sleep' in verdict.serving
    assert "gunicorn_says" not in verdict.serving


def test_the_oom_killers_count_is_kept_whatever_else_is_known(worker, monkeypatch):
    """Else the next one, whom somebody else has killed, would be taken for its victim."""
    asked = []
    monkeypatch.setattr("ostler.process.oom.OomKiller.explain", lambda _self: asked.append(1) or "")
    worker.finding = Finding(None, Cause.HANG)
    Inquest().hold(worker, Death(NOBODY, None, "SIGKILL"))
    assert asked == [1]


def test_what_ended_while_its_stacks_were_asked_for_is_told_all_the_same(worker):
    """A signal wakes what sleeps."""
    worker.page.begin_request(0, monotonic() - 2, "GET /x")
    inquest.look(worker)
    worker.page.end_request(0, 2.0, 200)
    record = reports.of_stacks(worker, "worker timeout pid=1", "timeout")
    assert record.startswith('worker timeout pid=1 request="GET /x" for_s=2')
    assert f'gunicorn_says="WORKER TIMEOUT (pid:{NOBODY})"' in record
    assert record.endswith('last="GET /x 200 2.000 s"\n(no stack dump arrived)')


@pytest.mark.parametrize(("why", "cause"), [("graceful timeout", Cause.SLOW_STOP), ("boot timeout", Cause.BOOT_SLOW)])
def test_what_only_hangs_has_the_cure_of_its_limit(worker, why, cause):
    record = reports.of_stacks(worker, "worker did not finish in time", why)
    assert f'cause="{cause}" cure="{cure_for(cause)}"' in record
    assert "gunicorn_says" not in record


@pytest.mark.parametrize(("cpu_s", "cause"), [(0.0, Cause.SLEEP), (100.0, Cause.BUSY_LOOP)])
def test_who_has_used_the_processor_meanwhile_computes(worker, monkeypatch, cpu_s, cause):
    worker.sight = Sight(monotonic() - 1, Evidence(main=("S", "hrtimer_nanosleep")), 0.0, ())
    monkeypatch.setattr("ostler.roles.inquest._cpu_s", lambda _child: cpu_s)
    stacks = CRASH.replace("Fatal Python error: Segmentation fault\n\n", "")
    assert inquest.of_hang(worker, stacks).cause is cause


@pytest.mark.parametrize(
    ("beat_ago", "tick_ago", "free"),
    [(0.1, 0.1, True), (40.0, 0.5, True), (31.0, 31.0, False), (31.5, 30.9, False), (0.1, 31.0, True)],
)
def test_who_ticks_has_the_gil_now_and_then(worker, beat_ago, tick_ago, free):
    now = monotonic()
    worker.page.tick(now - tick_ago)
    worker.page.beat(now - beat_ago)
    inquest.look(worker)
    assert worker.sight.evidence.gil_free is free


def test_roots_are_the_directories_and_the_package_of_the_application():
    settings = Settings.defaults(chdir="/srv/shop", pythonpath=("/srv/lib",), wsgi_app="shop.wsgi:app")
    first, second, *installed = inquest.roots_of(settings)
    assert (first, second) == ("/srv/shop", "/srv/lib")
    assert installed
    assert all(each.endswith("site-packages/shop") for each in installed)


def test_a_kill_by_the_master_is_nobody_elses(worker):
    """As after a quick stop: the master knows why, and the kernel's killer has no part in it."""
    worker.killed = True
    verdict = Inquest().hold(worker, Death(NOBODY, None, "SIGKILL"))
    assert verdict.serving == ""
    worker.page.begin_request(0, monotonic(), "GET /x")
    verdict = Inquest().hold(worker, Death(NOBODY, None, "SIGKILL"))
    assert f'cure="{cure_for(Cause.CUT)}"' in verdict.serving
    assert "gunicorn_says" not in verdict.serving
