"""observe/diagnosis.py and causes.py: stacks and tracebacks in, places and causes out."""

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ostler
from ostler.observe.causes import Cause, cure_for, of_signal
from ostler.observe.diagnosis import (
    Evidence,
    Place,
    find,
    place_in_crash,
    place_in_dump,
    place_in_traceback,
    places_in_dump,
    stacks_of,
)

PYTHON = os.path.dirname(os.__file__)
OSTLER = os.path.dirname(ostler.__file__)
ROOTS = ("/srv/shop",)
OWN = "/srv/shop/views.py", 12, "total"
MAIN = "/srv/shop/app.py", 5, "application"
SERVES = f"{OSTLER}/app/wsgi.py", 200, "serve"
LEADS = f"{OSTLER}/drivers/reactor.py", 70, "_lead"
STANDS_BY = f"{OSTLER}/drivers/crew.py", 137, "stand_by"
ALCHEMY = "/venv/lib/python3.11/site-packages/sqlalchemy/engine/default.py", 952, "do_execute"
FLASK = "/venv/lib/python3.11/site-packages/flask/app.py", 1511, "wsgi_app"


def python(name, function):
    return f"{PYTHON}/{name}", 1, function


def stack(*frames, title="Thread 0x00007f0a477fe6c0"):
    lines = [f'  File "{file}", line {line} in {function}' for file, line, function in frames]
    return "\n".join([f"{title} (most recent call first):", *lines]) + "\n"


def current(*frames):
    return stack(*frames, title="Current thread 0x00007f0a57c6eb80")


STANDBY = stack(STANDS_BY, python("threading.py", "run"))
SERVING = STANDBY + "\n" + current(OWN, MAIN, SERVES, LEADS)


def test_the_place_is_the_innermost_line_of_the_applications_own():
    dump = STANDBY + "\n" + current(python("socket.py", "recv"), ALCHEMY, OWN, FLASK, MAIN, SERVES, LEADS)
    assert str(place_in_dump(dump, ROOTS)) == "views.py:12 in total"


def test_a_dump_of_a_real_process_is_understood():
    """What faulthandler writes here and now: its form changes with Python's versions."""
    reading, writing = os.pipe()
    gate, over = threading.Event(), threading.Event()

    def serve():
        gate.set()
        over.wait()

    thread = threading.Thread(target=serve, name="a name (of a thread)")
    thread.start()
    gate.wait()
    import faulthandler

    faulthandler.dump_traceback(writing, all_threads=True)
    over.set()
    thread.join()
    os.close(writing)
    with open(reading, encoding="utf-8") as file:
        text = file.read()
    found = stacks_of(text)
    assert [each.current for each in found].count(True) == 1
    assert found[-1].main
    assert found[-1].frames[0].function == "test_a_dump_of_a_real_process_is_understood"
    assert Place("test_diagnosis.py", found[-1].frames[0].line, found[-1].frames[0].function) in places_in_dump(
        text, [os.path.dirname(__file__)]
    )


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([ALCHEMY, FLASK, SERVES], "sqlalchemy/engine/default.py:952 in do_execute"),
        ([python("json/decoder.py", "decode"), SERVES], None),
        ([SERVES, LEADS], None),
        ([("/opt/common/tax.py", 3, "rate"), FLASK, SERVES], "/opt/common/tax.py:3 in rate"),
        ([("/opt/common/tax.py", 3, "rate"), MAIN, SERVES], "app.py:5 in application"),
        ([("views.py", 7, "relative"), SERVES], "views.py:7 in relative"),
        ([("<string>", 1, "<module>"), MAIN, SERVES], "app.py:5 in application"),
        ([("/srv/shop/.venv/lib/python3.11/site-packages/x/y.py", 1, "f"), MAIN, SERVES], "app.py:5 in application"),
        ([("/srv/shopping/x.py", 1, "f"), MAIN, SERVES], "app.py:5 in application"),
        ([(f"{OSTLER}/app/wsgi_input.py", 9, "read"), FLASK, OWN, SERVES], "views.py:12 in total"),
        ([("/srv/shop/näme with (most recent call first).py", 1, "f"), SERVES], None),
    ],
)
def test_places(frames, expected):
    found = place_in_dump(STANDBY + current(*frames), ROOTS)
    if frames[0][0].startswith("/srv/shop/n"):
        expected = "näme with (most recent call first).py:1 in f"
    assert (found and str(found)) == expected


def test_an_application_that_is_installed_is_its_own_root():
    installed = "/venv/lib/python3.11/site-packages/shop"
    dump = current(ALCHEMY, (f"{installed}/models.py", 4, "load"), FLASK, SERVES)
    assert str(place_in_dump(dump, [installed])) == "shop/models.py:4 in load"
    assert str(place_in_dump(dump, ROOTS)) == "sqlalchemy/engine/default.py:952 in do_execute"


def test_a_thread_that_serves_is_preferred_to_one_of_the_applications():
    own_thread = stack(("/srv/shop/jobs.py", 3, "loop"), python("threading.py", "run"))
    assert str(place_in_dump(own_thread + current(OWN, SERVES), ROOTS)) == "views.py:12 in total"
    assert str(place_in_dump(own_thread + current(SERVES, LEADS), ROOTS)) == "jobs.py:3 in loop", "there is no other"


def test_the_place_of_a_greenlet_is_found():
    dump = current((f"{OSTLER}/workers/green.py", 5, "serve")) + stack(OWN, SERVES, title="Greenlet")
    assert str(place_in_dump(dump, ROOTS)) == "views.py:12 in total"


def test_all_threads_that_serve_have_a_place():
    other = stack(("/srv/shop/cart.py", 8, "lock"), SERVES)
    found = find(other + stack(OWN, SERVES) + current(SERVES, LEADS), ROOTS)
    assert (str(found.place), list(map(str, found.others))) == ("cart.py:8 in lock", ["views.py:12 in total"])


def test_a_crash_is_where_the_current_thread_is():
    dump = "Fatal Python error: Segmentation fault\n\n" + stack(MAIN, SERVES) + "\n" + current(OWN, SERVES)
    assert str(place_in_crash(dump + "\nExtension modules: a, b (total: 2)\n", ROOTS)) == "views.py:12 in total"
    assert place_in_crash(stack(OWN, SERVES), ROOTS) is None
    assert place_in_crash("", ROOTS) is None


IN = {
    "threading.py": Cause.DEADLOCK,
    "queue.py": Cause.DEADLOCK,
    "concurrent/futures/_base.py": Cause.DEADLOCK,
    "socket.py": Cause.SLOW_PEER,
    "ssl.py": Cause.SLOW_PEER,
    "http/client.py": Cause.SLOW_PEER,
    "selectors.py": Cause.SLOW_PEER,
    "subprocess.py": Cause.SLOW_PROGRAM,
    "re/__init__.py": Cause.BUSY_LOOP,
}


@pytest.mark.parametrize("module", IN)
def test_what_it_called_says_what_it_waits_for(module):
    dump = STANDBY + current(python(module, "f"), OWN, SERVES)
    assert find(dump, ROOTS).cause is IN[module]


@pytest.mark.parametrize(
    "frames",
    [
        (python("socket.py", "recv"), ALCHEMY, OWN),
        (("/v/site-packages/psycopg2/__init__.py", 1, "f"), OWN),
        (("/v/site-packages/django/db/backends/utils.py", 105, "_execute"), OWN),
        (python("sqlite3/dbapi2.py", "f"), OWN),
    ],
)
def test_a_database_is_named_before_what_its_driver_does(frames):
    assert find(STANDBY + current(*frames, SERVES), ROOTS).cause is Cause.SLOW_QUERY


@pytest.mark.parametrize(
    ("state", "wchan", "cause"),
    [
        ("S", "hrtimer_nanosleep", Cause.SLEEP),
        ("S", "futex_do_wait", Cause.DEADLOCK),
        ("S", "poll_schedule_timeout.constprop.0", Cause.SLOW_PEER),
        ("S", "wait_woken", Cause.SLOW_PEER),
        ("S", "unix_stream_read_generic", Cause.SLOW_PEER),
        ("S", "do_wait", Cause.SLOW_PROGRAM),
        ("S", "fcntl_setlk", Cause.DEADLOCK),
        ("D", "io_schedule", Cause.SLOW_DISK),
        ("R", "-", Cause.BUSY_LOOP),
        ("T", "do_signal_stop", Cause.STOPPED),
        ("t", "ptrace_stop", Cause.STOPPED),
        ("S", "-", Cause.HANG),
        ("", "", Cause.HANG),
    ],
)
def test_the_kernel_says_what_c_code_does(state, wchan, cause):
    assert find(SERVING, ROOTS, Evidence(main=(state, wchan))).cause is cause


def test_whoever_holds_the_gil_is_told_by_the_standby_that_cannot_run():
    asleep = Evidence(main=("S", "hrtimer_nanosleep"), gil_free=False)
    assert find(SERVING, ROOTS, asleep).cause is Cause.HANG_IN_C
    on_a_loop = current(OWN, SERVES, (f"{OSTLER}/workers/asgi.py", 1, "serve"))
    assert find(on_a_loop, ROOTS, asleep).cause is Cause.SLEEP, "there is no other thread that could tell"
    assert find(SERVING, ROOTS, Evidence(main=("T", ""), gil_free=False)).cause is Cause.STOPPED


FUTEX, EPOLL, SLEEPS = ("S", "futex_do_wait"), ("S", "do_epoll_wait"), ("S", "hrtimer_nanosleep")


@pytest.mark.parametrize(
    ("others", "cause"),
    [
        ((FUTEX, FUTEX, FUTEX, EPOLL), Cause.DEADLOCK),
        ((SLEEPS, FUTEX, SLEEPS), Cause.SLEEP),
        ((SLEEPS, FUTEX, ("S", "wait_woken")), Cause.HANG),
        ((SLEEPS, FUTEX, EPOLL), Cause.HANG),
        ((), Cause.HANG),
    ],
)
def test_threads_that_all_do_the_same_need_not_be_told_apart(others, cause):
    dump = stack(OWN, SERVES) + stack(MAIN, SERVES) + current(SERVES, LEADS)
    assert find(dump, ROOTS, Evidence(main=FUTEX, others=others)).cause is cause


def test_without_stacks_the_kernel_alone_is_asked():
    assert find("", ROOTS).cause is Cause.HANG
    found = find("(no stack dump arrived)", ROOTS, Evidence(main=("T", "do_signal_stop")))
    assert (found.place, found.cause) == (None, Cause.STOPPED)


TRACEBACK = f'''Traceback (most recent call last):
  File "/srv/shop/app.py", line 5, in application
    return total()
  File "/srv/shop/views.py", line 12, in total
    json.loads(text)
  File "{PYTHON}/json/__init__.py", line 346, in loads
    return _default_decoder.decode(s)
ValueError: File "no", line 1, in it
'''


def test_the_place_of_a_traceback_is_the_innermost_own_line():
    assert str(place_in_traceback(TRACEBACK, ROOTS)) == "views.py:12 in total"


def test_of_a_chain_it_is_that_of_the_last():
    chain = TRACEBACK + "\nDuring handling of the above exception, another exception occurred:\n\n"
    chain += TRACEBACK.replace("views.py", "errors.py")
    assert str(place_in_traceback(chain, ROOTS)) == "errors.py:12 in total"


def test_a_syntax_error_is_where_it_says():
    text = TRACEBACK + '  File "/srv/shop/broken.py", line 3\n    def f(:\n          ^\nSyntaxError: invalid syntax\n'
    assert str(place_in_traceback(text, ROOTS)) == "broken.py:3 in <module>"


def test_a_traceback_without_own_lines_says_the_librarys():
    text = 'Traceback (most recent call last):\n  File "/v/site-packages/lib/a.py", line 1, in f\n    x\nKeyError: 1\n'
    assert str(place_in_traceback(text, ROOTS)) == "lib/a.py:1 in f"
    assert place_in_traceback("nothing", ROOTS) is None


HOSTILE = st.lists(
    st.sampled_from(
        [
            "Current thread 0x1 (most recent call first):",
            "Thread 0x2 (most recent call first):",
            "Greenlet (most recent call first):",
            '  File "/srv/shop/a.py", line 1 in f',
            '  File "", line 99999999999999999999 in ',
            '  File "a", line ² in b',
            "Traceback (most recent call last):",
            '  File "/srv/shop/a.py", line 1, in f',
            '  File "/srv/shop/a.py", line 1',
            "\x00\ufffd",
        ]
    )
    | st.text(max_size=30)
).map("\n".join)


@given(HOSTILE)
def test_whatever_is_read_nothing_raises(text):
    find(text, ROOTS, Evidence(("S", text[:20]), (("?", text[:9]),), False))
    place_in_crash(text, ROOTS)
    place_in_traceback(text, ROOTS)


def test_endless_text_takes_little_time():
    place_in_dump("Thread 0x1 (most recent call first):\n" * 200_000, ROOTS)
    place_in_dump('  File "' * 50_000, ROOTS)


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_has_a_cure_of_one_line(cause):
    cure = cure_for(cause)
    assert cure.isprintable()
    assert '"' not in cure + str(cause), "it would be escaped"
    assert not cure.endswith(".")


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("SIGSEGV", Cause.CRASH),
        ("SIGABRT", Cause.ABORT),
        ("SIGXCPU", Cause.RESOURCE_LIMIT),
        ("SIGSYS", Cause.FORBIDDEN_CALL),
        ("SIGHUP", Cause.KILLED_BY_SOMEBODY),
        ("signal 99", Cause.KILLED_BY_SOMEBODY),
    ],
)
def test_signals_have_causes(name, cause):
    assert of_signal(name) is cause


def test_the_cures_name_settings_that_are_there():
    from ostler.config.sections import ENTRIES

    names = {entry.name for entry in ENTRIES}
    for word in ("max_worker_memory", "trace_memory", "boot_timeout", "graceful_timeout", "timeout"):
        assert word in names
        assert any(word in cure_for(cause) for cause in Cause)
