"""compat/hook_views.py: one object for each thing, for as long as it lives. See also test_server_view.py and others."""

import logging

import pytest

from ostler.compat.glogging import Logger
from ostler.compat.hook_views import GunicornViews
from ostler.errors import ConfigError
from ostler.observe.hooks import MasterFacts, ResponseFacts
from ostler.observe.logs import Logs
from ostler.observe.plan import LogPlan
from tests.unit.compat.facts import LISTENERS, request, settings, views_and_master, worker_facts


class OwnAccess(Logger):
    def access(self, resp, req, environ, request_time): ...


class Broken(Logger):
    def setup(self, cfg):
        raise KeyError("no formatter")


@pytest.fixture
def logs():
    """Logs of a process; the loggers are put back as they were."""
    loggers = [logging.getLogger(name) for name in ("gunicorn.error", "gunicorn.access")]
    former = [(each.handlers[:], each.level, each.propagate) for each in loggers]
    made = Logs(LogPlan.of(settings()))
    yield made
    made.close()
    for logger, (handlers, level, propagate) in zip(loggers, former, strict=True):
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


def test_the_server_is_one_object_and_follows_the_facts():
    views, master = views_and_master()
    server = views.server()
    server.my_own = "kept"
    master.num_workers = 8
    assert views.server() is server
    assert (server.my_own, server.num_workers) == ("kept", 8)


def test_a_hook_before_the_server_is_known_is_a_defect():
    with pytest.raises(RuntimeError, match="before the master introduced itself"):
        GunicornViews().server()


def test_a_worker_keeps_what_hooks_stored_on_it_when_the_child_describes_itself_anew():
    views, _ = views_and_master()
    before = worker_facts()
    views.worker(before).stored_by_pre_fork = 1
    assert views.worker(before).pid == "[booting]"
    child = worker_facts(pid=78)
    assert views.worker(child).stored_by_pre_fork == 1
    assert views.worker(child).pid == 78
    assert views.worker(worker_facts(age=6)) is not views.worker(child)


def test_a_forgotten_worker_is_a_new_object():
    views, _ = views_and_master()
    facts = worker_facts()
    former = views.worker(facts)
    views.forget(facts)
    views.forget(facts)
    assert views.worker(facts) is not former


def test_cfg_is_one_object_for_each_generation_and_is_let_go_with_its_last_worker():
    views, master = views_and_master()
    old, master.settings = master.settings, settings(workers=9)
    worker = worker_facts(settings=old)
    master.workers[7] = worker
    cfg = views.worker(worker).cfg
    cfg.my_own = "kept"
    views.forget(worker_facts(age=99))
    assert views.worker(worker).cfg is cfg
    assert views.server().cfg.workers == 9
    assert not hasattr(views.server().cfg, "my_own")
    del master.workers[7]
    views.forget(worker)
    assert views.worker(worker).cfg is not cfg


def test_the_log_is_made_by_logger_class_and_all_see_its_cfg(logs):
    views = GunicornViews()
    ours = settings()
    log = views.open_logger(ours, logs)
    assert type(log) is Logger
    assert views.access_observer(log) is None
    master = MasterFacts(pid=10, settings=ours, num_workers=3, listeners=LISTENERS, log=log)
    views.introduce(master)
    assert views.server().log is log
    assert views.server().cfg is log.cfg
    assert views.worker(worker_facts(settings=ours, log=log)).log.cfg is log.cfg


def test_a_generation_that_shares_its_logs_has_a_cfg_that_knows_them(logs):
    views = GunicornViews()
    log = views.open_logger(settings(), logs)
    views.introduce(MasterFacts(pid=10, settings=settings(), num_workers=3, listeners=LISTENERS, log=log))
    cfg = views.server().cfg
    assert cfg is not log.cfg
    assert cfg._ostler_logs is logs


def test_a_logger_that_has_its_own_access_log_is_told_of_requests(logs):
    views = GunicornViews()
    log = views.open_logger(settings(logger_class=OwnAccess), logs)
    assert type(log) is OwnAccess
    assert views.access_observer(log) is not None


def test_a_logger_that_cannot_be_set_up_is_a_configuration_error(logs):
    with pytest.raises(ConfigError, match=r"logger_class: .*Broken cannot be set up: KeyError: 'no formatter'"):
        GunicornViews().open_logger(settings(logger_class=Broken), logs)


@pytest.mark.parametrize(
    ("pick", "name"),
    [
        (lambda views: views.server(), "SIG_QUEUE"),
        (lambda views: views.worker(worker_facts()), "wait_fds"),
        (lambda views: views.worker(worker_facts()).app, "run"),
        (lambda views: views.request(request()), "unreader"),
        (lambda views: views.response(ResponseFacts("200 OK", [], True, False, 0)), "sock"),
    ],
)
def test_what_gunicorn_has_and_ostler_has_not_raises_and_says_so(pick, name):
    view = pick(views_and_master()[0])
    with pytest.raises(AttributeError, match=rf"\.{name} is not built in this version of Ostler"):
        getattr(view, name)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        view.nonsense  # noqa: B018
    assert not hasattr(view, name)


def test_a_hook_that_is_no_workers_is_given_the_same_cfg():
    views, master = views_and_master()
    assert views.config(master.settings, None) is views.server().cfg
    assert views.config(settings(workers=9), None).workers == 9
