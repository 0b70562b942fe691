"""compat/hook_views.py"""

import socket

import pytest

from ostler.compat.hook_views import GunicornViews
from ostler.config.address import TcpAddress, UnixAddress
from ostler.config.settings import Settings
from ostler.observe.hooks import MasterFacts, RequestFacts, ResponseFacts, WorkerFacts
from ostler.observe.scoreboard import Scoreboard


class Socket:
    family = socket.AF_INET

    def fileno(self):
        return 7


class Listener:
    def __init__(self, name, address):
        self.name, self.address, self.socket = name, address, Socket()


LISTENERS = (
    Listener("http://127.0.0.1:8000", TcpAddress("127.0.0.1", 8000)),
    Listener("unix:/run/s", UnixAddress("/run/s")),
)


def settings(**changes):
    values = {"bind": (TcpAddress("::1", 80), UnixAddress("/run/s")), "timeout": 31, "wsgi_app": "m:app"}
    return Settings.defaults(**(values | changes))


def worker_facts(age=5, **changes):
    page = Scoreboard(1, 1).page(0)
    return WorkerFacts(age=age, ppid=10, settings=settings(), listeners=LISTENERS, page=page, **changes)


def views_and_master():
    views = GunicornViews()
    master = MasterFacts(pid=10, settings=settings(), num_workers=3, listeners=LISTENERS)
    views.introduce(master)
    return views, master


def request(**changes):
    values = {
        "method": "POST", "target": "/a%20b?x=1", "path": "/a%20b", "query": "x=1",
        "fields": [("host", "h"), ("x-id", "1"), ("x-id", "2")], "minor": 1, "peer": ("192.0.2.7", 5000),
        "scheme": "https",
    }  # fmt: skip
    return RequestFacts(**(values | changes))


def test_the_server_is_one_object_and_follows_the_facts():
    views, master = views_and_master()
    server = views.server()
    server.my_own = "kept"
    master.num_workers = 8
    assert views.server() is server
    assert (server.my_own, server.num_workers, server.pid, server.timeout) == ("kept", 8, 10, 31)
    assert server.proc_name == "m:app"
    assert server.address == [("::1", 80), "/run/s"]


def test_the_servers_workers_are_the_objects_that_worker_hooks_get():
    views, master = views_and_master()
    facts = worker_facts(pid=77)
    master.workers[77] = facts
    workers = views.server().WORKERS
    assert list(workers) == [77]
    assert workers[77] is views.worker(facts)


def test_listeners_print_their_url_and_act_as_their_socket():
    views, _ = views_and_master()
    tcp, unix = views.server().LISTENERS
    assert (str(tcp), tcp.cfg_addr, tcp.FAMILY) == ("http://127.0.0.1:8000", ("127.0.0.1", 8000), socket.AF_INET)
    assert (str(unix), unix.cfg_addr) == ("unix:/run/s", "/run/s")
    assert tcp.fileno() == tcp.sock.fileno() == 7


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


def test_a_worker_has_gunicorns_attributes():
    views, _ = views_and_master()
    facts = worker_facts(pid=78, booted=True)
    facts.page.count_request()
    worker = views.worker(facts)
    assert (worker.pid, worker.ppid, worker.age, worker.nr, worker.timeout) == (78, 10, 5, 1, 15.5)
    assert (worker.alive, worker.booted, worker.aborted) == (True, True, False)
    assert [str(each) for each in worker.sockets] == ["http://127.0.0.1:8000", "unix:/run/s"]
    assert str(worker) == "<Worker 78>"


def test_cfg_gives_settings_in_gunicorns_shapes():
    views, master = views_and_master()
    master.settings = settings(pythonpath=("/a", "/b"), workers=4, worker_class="gthread")
    cfg = views.server().cfg
    assert cfg.bind == ["[::1]:80", "unix:/run/s"]
    assert cfg.address == [("::1", 80), "/run/s"]
    assert (cfg.workers, cfg.pythonpath, cfg.worker_class_str) == (4, "/a,/b", "gthread")
    assert cfg.forwarded_allow_ips == ["127.0.0.1", "::1"]
    assert cfg.forwarder_headers == ["SCRIPT_NAME", "PATH_INFO"]
    assert cfg.secure_scheme_headers["X-FORWARDED-PROTO"] == "https"
    assert (cfg.proc_name, cfg.accesslog, cfg.keepalive) == ("m:app", None, 75)


def test_a_hook_cannot_change_settings():
    views, _ = views_and_master()
    with pytest.raises(AttributeError, match=r"cfg\.timeout cannot be changed by a hook"):
        views.server().cfg.timeout = 5


def test_a_request_has_gunicorns_attributes():
    req = GunicornViews().request(request())
    assert (req.method, req.uri, req.path, req.query, req.fragment) == ("POST", "/a%20b?x=1", "/a%20b", "x=1", "")
    assert req.version == (1, 1)
    assert req.headers == [("HOST", "h"), ("X-ID", "1"), ("X-ID", "2")]
    assert req.peer_addr == req.remote_addr == ("192.0.2.7", 5000)
    assert (req.scheme, req.trailers, req.proxy_protocol_info) == ("https", [], None)


@pytest.mark.parametrize(
    ("fields", "chunked", "length"),
    [([("Content-length", "12")], False, 12), ([("Content-Type", "text/plain")], True, None)],
)
def test_a_response_has_gunicorns_attributes(fields, chunked, length):
    resp = GunicornViews().response(ResponseFacts("404 Not Found", fields, started=True, chunked=chunked, sent=12))
    assert (resp.status, resp.status_code, resp.headers) == ("404 Not Found", 404, fields)
    assert (resp.headers_sent, resp.sent, resp.chunked, resp.response_length) == (True, 12, chunked, length)


def test_a_response_that_was_never_started_has_no_status():
    resp = GunicornViews().response(ResponseFacts("", [], started=False, chunked=False, sent=0))
    assert (resp.status, resp.status_code, resp.headers_sent) == (None, None, False)


def test_the_log_writes_to_the_error_log(caplog):
    views, _ = views_and_master()
    log = views.server().log
    log.error_log.addHandler(caplog.handler)
    try:
        log.warning("%d %s", 1, "warning")
        log.error("an error")
        log.critical("critical")
        log.log("error", "by name")
        log.log(40, "by number")
        try:
            raise KeyError("k")
        except KeyError:
            log.exception("with stack")
    finally:
        log.error_log.removeHandler(caplog.handler)
    seen = dict.fromkeys((record.name, record.levelname, record.getMessage()) for record in caplog.records)
    assert list(seen) == [
        ("gunicorn.error", "WARNING", "1 warning"),
        ("gunicorn.error", "ERROR", "an error"),
        ("gunicorn.error", "CRITICAL", "critical"),
        ("gunicorn.error", "ERROR", "by name"),
        ("gunicorn.error", "ERROR", "by number"),
        ("gunicorn.error", "ERROR", "with stack"),
    ]
    assert views.worker(worker_facts()).log is log


@pytest.mark.parametrize(
    ("pick", "name"),
    [
        (lambda views: views.server(), "reexec"),
        (lambda views: views.server().cfg, "ssl_options"),
        (lambda views: views.server().log, "access_log"),
        (lambda views: views.worker(worker_facts()), "wsgi"),
        (lambda views: views.request(request()), "body"),
        (lambda views: views.response(ResponseFacts("200 OK", [], True, False, 0)), "should_close"),
    ],
)
def test_what_gunicorn_has_and_ostler_has_not_raises_and_says_so(pick, name):
    view = pick(views_and_master()[0])
    with pytest.raises(AttributeError, match=rf"\.{name} is not built in this version of Ostler"):
        getattr(view, name)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        view.nonsense  # noqa: B018
    assert not hasattr(view, name)


def test_what_is_decided_elsewhere_cannot_be_set_by_a_hook():
    views, _ = views_and_master()
    with pytest.raises(AttributeError):
        views.server().num_workers = 9
    with pytest.raises(AttributeError):
        views.worker(worker_facts()).alive = False
