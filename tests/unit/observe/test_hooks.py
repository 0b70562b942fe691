"""observe/hooks.py"""

import logging

import pytest

from ostler.config.settings import Hooks, Settings
from ostler.errors import BootError, ConfigError
from ostler.observe.hooks import (
    MasterFacts,
    MasterHooks,
    RequestFacts,
    ResponseFacts,
    WorkerFacts,
    WorkerHooks,
    call_ssl_context,
)
from ostler.observe.scoreboard import Scoreboard


class Names:
    """HookArguments that says what it was asked for."""

    def __init__(self):
        self.master = None
        self.forgotten = []
        self.requests = 0

    def introduce(self, master):
        self.master = master

    def server(self):
        return "server"

    def worker(self, facts):
        return f"worker {facts.age}"

    def forget(self, facts):
        self.forgotten.append(facts.age)

    def request(self, facts):
        self.requests += 1
        return [facts.method]

    def response(self, facts):
        return f"response {facts.status}"


class World:
    """Hooks of a master and of one worker, what they were called with, and what was logged."""

    def __init__(self, level=logging.INFO, **hooks):
        self.calls = []
        self.logged = []
        self.arguments = Names()
        self.log = logging.Logger("test", level)
        handler = logging.Handler()
        handler.emit = lambda record: self.logged.append(record.getMessage())
        self.log.addHandler(handler)
        settings = Settings.defaults(hooks=Hooks(**hooks))
        self.worker_facts = WorkerFacts(
            age=3, ppid=1, settings=settings, listeners=(), page=Scoreboard(1, 1).page(0), log=None, pid=42
        )
        self.master_facts = MasterFacts(pid=1, settings=settings, num_workers=2, listeners=(), log=None)
        self.master = MasterHooks(self.master_facts, self.arguments, self.log)
        self.worker = WorkerHooks(self.worker_facts, self.arguments, self.log)


def recorder(*names):
    calls = []
    return calls, {name: (lambda *given, name=name: calls.append((name, *given))) for name in names}


def request():
    return RequestFacts("GET", "/p?q", "/p", "q", [("host", "h")], 1, ("192.0.2.7", 5000), "http")


def response():
    return ResponseFacts("200 OK", [("Content-Length", "2")], started=True, chunked=False, sent=2)


def fail(*_given):
    raise ZeroDivisionError("boom")


def leave(*_given):
    raise SystemExit(3)


MASTER_LOGGED = {
    "on_reload": lambda world: world.master.on_reload(),
    "on_exit": lambda world: world.master.on_exit(),
    "nworkers_changed": lambda world: world.master.nworkers_changed(2, None),
    "pre_fork": lambda world: world.master.pre_fork(world.worker_facts),
    "child_exit": lambda world: world.master.child_exit(world.worker_facts),
}
WORKER_LOGGED = {
    "worker_int": lambda world: world.worker.worker_int(),
    "worker_abort": lambda world: world.worker.worker_abort(),
    "worker_exit": lambda world: world.worker.worker_exit(),
    "post_request": lambda world: world.worker.post_request(request(), {}, response()),
}
RAISING = {
    "on_starting": (lambda world: world.master.on_starting(), ConfigError),
    "when_ready": (lambda world: world.master.when_ready(), ConfigError),
    "post_fork": (lambda world: world.worker.post_fork(), BootError),
    "post_worker_init": (lambda world: world.worker.post_worker_init(), BootError),
}


def test_master_hooks_are_called_with_gunicorns_arguments():
    calls, hooks = recorder("on_starting", "when_ready", *MASTER_LOGGED)
    world = World(**hooks)
    world.master.on_starting()
    world.master.when_ready()
    for call in MASTER_LOGGED.values():
        call(world)
    assert calls == [
        ("on_starting", "server"),
        ("when_ready", "server"),
        ("on_reload", "server"),
        ("on_exit", "server"),
        ("nworkers_changed", "server", 2, None),
        ("pre_fork", "server", "worker 3"),
        ("child_exit", "server", "worker 3"),
    ]


def test_worker_hooks_are_called_with_gunicorns_arguments():
    calls, hooks = recorder("post_fork", "post_worker_init", "pre_request", *WORKER_LOGGED)
    world = World(**hooks)
    world.worker.post_fork()
    world.worker.post_worker_init()
    facts, environ = request(), {"k": "v"}
    world.worker.pre_request(facts)
    world.worker.post_request(facts, environ, response())
    world.worker.worker_int()
    world.worker.worker_abort()
    world.worker.worker_exit()
    assert calls == [
        ("post_fork", "server", "worker 3"),
        ("post_worker_init", "worker 3"),
        ("pre_request", "worker 3", ["GET"]),
        ("post_request", "worker 3", ["GET"], environ, "response 200 OK"),
        ("worker_int", "worker 3"),
        ("worker_abort", "worker 3"),
        ("worker_exit", "server", "worker 3"),
    ]


def test_both_request_hooks_get_the_same_object():
    seen = []
    world = World(pre_request=lambda _, req: req.append("mine"), post_request=lambda _, req, *__: seen.append(req))
    facts = request()
    world.worker.pre_request(facts)
    world.worker.post_request(facts, {}, response())
    assert seen == [["GET", "mine"]]
    assert world.arguments.requests == 1


@pytest.mark.parametrize("hook", [fail, leave])
@pytest.mark.parametrize("name", [*MASTER_LOGGED, *WORKER_LOGGED])
def test_a_failing_hook_is_logged_with_its_name_and_stack_and_changes_nothing(name, hook):
    world = World(**{name: hook})
    (MASTER_LOGGED | WORKER_LOGGED)[name](world)
    [text] = world.logged
    assert text.startswith(f"hook failed, the server goes on hook={name}\nTraceback (most recent call last):\n")
    assert f"in {hook.__name__}" in text
    assert "observe/hooks.py" not in text
    assert text.endswith("ZeroDivisionError: boom" if hook is fail else "SystemExit: 3")


@pytest.mark.parametrize("hook", [fail, leave])
@pytest.mark.parametrize("name", RAISING)
def test_a_hook_that_decides_over_a_start_ends_it_with_a_summary(name, hook):
    call, kind = RAISING[name]
    world = World(**{name: hook})
    what = "ZeroDivisionError: boom" if hook is fail else r"SystemExit\(3\)"
    with pytest.raises(kind, match=rf"^{name}: the hook raised {what} in .*test_hooks\.py:\d+$"):
        call(world)
    assert f"in {hook.__name__}" in world.logged[0]


def test_pre_request_raises_to_its_caller():
    world = World(pre_request=fail)
    with pytest.raises(ZeroDivisionError):
        world.worker.pre_request(request())
    assert world.logged == []


def test_system_exit_in_pre_request_cannot_end_the_process():
    world = World(pre_request=leave)
    with pytest.raises(RuntimeError, match=r"pre_request: the hook raised SystemExit\(3\)"):
        world.worker.pre_request(request())


def test_a_hook_with_the_wrong_arity_is_a_failure_like_others():
    world = World(on_reload=lambda: None)
    world.master.on_reload()
    assert "hook=on_reload" in world.logged[0]
    assert "TypeError" in world.logged[0]


@pytest.mark.parametrize(
    ("hooks", "expected"), [({}, False), ({"pre_request": fail}, True), ({"post_request": fail}, True)]
)
def test_the_worker_knows_whether_requests_have_hooks(hooks, expected):
    assert World(**hooks).worker.wants_requests is expected


def test_without_a_hook_requests_are_named_at_level_debug():
    world = World(level=logging.DEBUG)
    assert world.worker.wants_requests
    world.worker.pre_request(request())
    assert world.logged == ["GET /p"]


def test_unset_hooks_do_nothing():
    world = World()
    world.master.on_starting()
    world.master.when_ready()
    for call in (MASTER_LOGGED | WORKER_LOGGED).values():
        call(world)
    world.worker.post_fork()
    world.worker.post_worker_init()
    world.worker.pre_request(request())
    assert world.logged == []


def test_a_worker_is_booted_after_its_init_hook_and_not_alive_after_its_end():
    seen = []
    world = World(post_worker_init=lambda _worker: seen.append(world.worker_facts.booted))
    world.worker.post_worker_init()
    assert (seen, world.worker_facts.booted, world.worker_facts.alive) == ([False], True, True)
    world.worker.worker_int()
    assert (world.worker_facts.alive, world.worker_facts.aborted) == (False, False)


def test_the_arguments_know_the_master_and_forget_dead_workers():
    world = World()
    world.master.child_exit(world.worker_facts)
    assert world.arguments.master is world.master_facts
    assert world.arguments.forgotten == [3]


def test_hooks_about_a_worker_are_those_of_its_generation_and_others_are_the_current():
    calls, hooks = recorder("pre_fork", "on_exit")
    world = World(**hooks)
    world.master_facts.settings = Settings.defaults(hooks=Hooks(pre_fork=fail, on_exit=lambda _: calls.append("new")))
    world.master.pre_fork(world.worker_facts)
    world.master.on_exit()
    assert calls == [("pre_fork", "server", "worker 3"), "new"]


def test_the_hook_of_tls_is_given_cfg_and_the_factory():
    world = World()
    assert call_ssl_context(lambda config, factory: (config, factory()), "cfg", lambda: "made", world.log) == (
        "cfg",
        "made",
    )


@pytest.mark.parametrize("raised", [ValueError("no file"), SystemExit(3)])
def test_a_hook_of_tls_that_raises_is_logged_and_an_error_of_the_configuration(raised):
    def hook(config, factory):
        raise raised

    world = World()
    with pytest.raises(ConfigError, match="ssl_context: the hook raised"):
        call_ssl_context(hook, "cfg", None, world.log)
    assert world.logged[0].startswith("hook failed, there is no SSL context hook=ssl_context\nTraceback")


def test_what_the_factory_says_of_a_certificate_needs_no_other_words():
    def factory():
        raise ConfigError("certfile: damaged")

    world = World()
    with pytest.raises(ConfigError, match=r"^certfile: damaged$"):
        call_ssl_context(lambda config, factory: factory(), "cfg", factory, world.log)
    assert world.logged == []
