"""What is shown, of answers that have everything, and of those that have little."""

from ostler.control import views

STATUS = {
    "version": "1.0",
    "pid": 42,
    "name": "shop",
    "uptime_s": 61.0,
    "state": "serving",
    "generation": 2,
    "generations": [1, 2],
    "workers": {"goal": 4, "ready": 3, "busy": 1, "idle": 2, "booting": 1, "hung": 0},
    "molds": [{"pid": 43, "generation": 2, "state": "ready"}],
    "degraded": "the mold\ndied",
    "listeners": [{"address": "http://a:1", "waiting": 3, "backlog": 64}, {"address": "unix:/x", "waiting": None}],
    "requests": 10,
    "requests_per_s": 1.5,
    "errors": 1,
    "shed": 0,
    "in_flight": 2,
    "waiting": 1,
    "queue_time_s": 0.5,
    "busy_share": 0.254,
    "last_reload": {"ago_s": 3.0, "text": "reload complete"},
    "incidents": [{"ago_s": 1.0, "level": "error", "text": "worker died\n\x1b"}],
    "incidents_total": 9,
    "control_socket": "/run/x",
    "systemd": True,
    "watchdog_s": 30.0,
    "new_master": 99,
}


def test_status_shows_everything_one_line_each():
    assert views.status(STATUS, 20) == [
        "server       shop: serving",
        "master       pid 42, version 1.0, up 1 min 1 s",
        "generation   2 (processes of 1, 2)",
        "workers      3 of 4 ready: 1 busy, 2 idle, 1 booting",
        "mold         pid 43 (generation 2, ready)",
        r"degraded     the mold\ndied",
        "requests     10, 1.5/s, 2 in flight, 1 answered with 5xx, 0 shed",
        "load         25 % busy, 1 requests wait, the oldest for 0.50 s",
        "listener     http://a:1, 3 of 64 wait",
        "listener     unix:/x",
        "last reload  3.00 s ago: reload complete",
        "new master   pid 99",
        "systemd      notified, watchdog 30 s",
        "control      /run/x",
        "",
        "last incidents, of 9 since the start:",
        r"  1.00 s ago  error  worker died\n\x1b",
    ]


def test_an_answer_of_another_version_is_shown_as_far_as_it_goes():
    assert views.status({}, None)[0] == "server      None: None"
    for view in (views.workers, views.slow, views.stacks, views.listeners, views.everything):
        assert view({}, None)


def test_a_worker_has_a_line_with_its_longest_request():
    busy = {
        "slot": 0,
        "pid": 7,
        "generation": 1,
        "state": "busy",
        "cause": "",
        "age_s": 2.0,
        "requests": 5,
        "errors": 0,
    }
    busy |= {"cpu_s": 0.1, "rss": 1048576, "pss": None, "boot_ms": 9, "in_flight": 3}
    busy["longest"] = {"request": "GET /x\n", "for_s": 1.25}
    hung = {"slot": 1, "pid": 8, "state": "hung", "silent_s": 7.2}
    leaves = {"slot": 2, "pid": 9, "state": "retiring", "cause": "max_requests"}
    [_, *lines] = views.workers({"workers": [busy, hung, leaves]}, None)
    assert lines[0].endswith(r"1M    -        9  1.2 s (+2) GET /x\n")
    assert "hung: silent 7 s" in lines[1]
    assert "retiring: max_requests" in lines[2]


def test_stacks_or_what_the_kernel_says():
    answered = {"role": "worker", "pid": 7, "slot": 0, "generation": 1, "state": "ready", "stacks": "Thread 1\n  File"}
    silent = {"role": "mold", "pid": 8, "slot": None, "generation": 1, "state": "ready", "kernel": "state D, waits"}
    assert views.stacks({"processes": [answered, silent]}, None) == [
        "== worker slot=0 gen=1 pid=7 ready",
        "Thread 1",
        "  File",
        "",
        "== mold gen=1 pid=8 ready",
        "no stacks came: state D, waits",
    ]
