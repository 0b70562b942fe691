"""compat/cfg.py and shapes.py, beside the cfg of the Gunicorn that is installed for the tests."""

import copy
import ipaddress
import pickle

import pytest

from ostler.compat.cfg import Config
from ostler.compat.glogging import Logger
from ostler.compat.shapes import no_hook
from ostler.config.address import FdAddress, StatsdAddress, UnixAddress
from ostler.config.sections import ENTRIES
from ostler.config.settings import Hooks
from ostler.errors import ConfigError
from tests.unit.compat.facts import settings, views_and_master

gunicorn_config = pytest.importorskip("gunicorn.config")

# Our defaults that are not Gunicorn's; docs/reference/compatibility.md says why.
OTHER_DEFAULTS = {"config", "default_proc_name", "keepalive", "proc_name"}


def config(**changes):
    return Config.of(settings(**changes), None, {})


def post_fork(server, worker): ...


def test_every_name_of_gunicorns_has_a_value_of_the_same_shape():
    theirs, ours = gunicorn_config.Config(), Config()
    assert set(theirs.settings) == {entry.name for entry in ENTRIES if entry.gunicorn}
    for name in theirs.settings:
        expected, found = getattr(theirs, name), getattr(ours, name)
        if callable(expected):
            assert callable(found), name
        elif name not in OTHER_DEFAULTS:
            assert (name, found, type(found)) == (name, expected, type(expected))
    for name in ("address", "uid", "gid", "env", "is_ssl", "ssl_options", "worker_class_str", "paste_global_conf"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.forwarded_allow_networks() == theirs.forwarded_allow_networks()
    assert ours.proxy_allow_networks() == theirs.proxy_allow_networks()
    assert ours.worker_class.__module__ == theirs.worker_class.__module__
    assert ours.worker_class.__name__ == theirs.worker_class.__name__


def test_the_entries_of_cfg_settings_are_described_as_gunicorns():
    theirs, ours = gunicorn_config.Config().settings, Config().settings
    for name, expected in theirs.items():
        found = ours[name]
        assert (found.name, found.cli) == (name, expected.cli)
        if not callable(expected.value) and name not in OTHER_DEFAULTS | {"chdir"}:
            assert found.value == found.get() == found.copy().value == expected.get(), name
    assert (ours["bind"].section, ours["certfile"].section) == ("Server Socket", "SSL")
    assert next(name for name, _ in sorted(ours.items(), key=lambda item: item[1])) == "config"
    assert ("backlog" in ours, "nonsense" in ours, len(ours)) == (True, False, len(ENTRIES))
    assert repr(ours["backlog"]) == "<SettingView backlog = 2048>"


def test_cfg_gives_settings_in_gunicorns_shapes():
    cfg = config(
        pythonpath=("/a", "/b"), workers=4, worker_class="gthread", raw_env=("A=1", "B=x=y"),
        statsd_host=StatsdAddress("h", 8125), proc_name="web", sendfile=False,
        raw_paste_global_conf=("here=/srv",), hooks=Hooks(post_fork=post_fork),
    )  # fmt: skip
    assert cfg.bind == ["[::1]:80", "unix:/run/s"]
    assert cfg.address == [("::1", 80), "/run/s"]
    assert (cfg.workers, cfg.pythonpath, cfg.worker_class_str) == (4, "/a,/b", "gthread")
    assert (cfg.raw_env, cfg.env) == (["A=1", "B=x=y"], {"A": "1", "B": "x=y"})
    assert (cfg.statsd_host, cfg.proc_name, cfg.paste_global_conf) == (("h", 8125), "web", {"here": "/srv"})
    assert (cfg.sendfile, cfg.settings["sendfile"].value) == (False, False)
    assert (cfg.post_fork, cfg.pre_fork, cfg.pre_fork(1, 2)) == (post_fork, no_hook, None)
    assert cfg.ssl_context(cfg, lambda: "made") == "made"
    assert cfg.logger_class is Logger
    assert cfg.forwarded_allow_networks() == [ipaddress.ip_network("127.0.0.1/32"), ipaddress.ip_network("::1/128")]
    assert cfg.validate() is None
    assert config(statsd_host=StatsdAddress(path="/run/statsd")).statsd_host == "/run/statsd"
    assert config(bind=(UnixAddress("n", abstract=True), FdAddress(3))).address == ["\0n", 3]
    assert "\nworkers" in str(cfg)
    assert "<post_fork()>" in str(cfg)


def test_what_the_process_was_started_with_is_known():
    cfg = views_and_master()[0].server().cfg
    assert cfg.env_orig["GUNICORN_CMD_ARGS"] == "-w 3 -n 'a b'"
    assert cfg.get_cmd_args_from_env() == ["-w", "3", "-n", "a b"]
    assert Config.of(settings(), None, {}).get_cmd_args_from_env() == []


@pytest.mark.parametrize("change", [
    lambda cfg: setattr(cfg, "timeout", 5), lambda cfg: cfg.set("timeout", 5),
    lambda cfg: cfg.settings["timeout"].set(5), lambda cfg: setattr(cfg, "proc_name", "x"),
])  # fmt: skip
def test_a_hook_cannot_change_settings_and_is_told_where_to(change):
    with pytest.raises(AttributeError, match=r"cannot be changed in a running server; set it in the config"):
        change(config())


def test_a_hook_can_store_what_is_no_setting():
    cfg = config()
    cfg.my_own = 1
    assert cfg.my_own == 1
    with pytest.raises(AttributeError, match="cfg has no attribute 'nonsense'"):
        cfg.nonsense  # noqa: B018


def test_a_cfg_of_ones_own_can_be_changed():
    cfg = Config(prog="mine")
    cfg.set("workers", "3")
    cfg.set("bind", ["1.2.3.4:5"])
    cfg.set("post_fork", post_fork)
    cfg.set("proc_name", "web")
    cfg.set("keyfile", None)
    assert (cfg.workers, cfg.bind, cfg.post_fork) == (3, ["1.2.3.4:5"], post_fork)
    assert (cfg.proc_name, cfg.prog) == ("web", "mine")
    cfg.set("workers", None)
    cfg.set("default_proc_name", "other")
    assert (cfg.workers, cfg.proc_name) == (1, "web")
    cfg.set("proc_name", None)
    assert (cfg.proc_name, cfg.settings["proc_name"].value) == ("other", None)
    with pytest.raises(TypeError, match="workers: expected a positive integer"):
        cfg.set("workers", "many")
    with pytest.raises(AttributeError, match="no setting 'nonsense'"):
        cfg.set("nonsense", 1)


@pytest.mark.parametrize("copied", [lambda cfg: pickle.loads(pickle.dumps(cfg)), copy.copy, copy.deepcopy])
def test_cfg_can_be_pickled_and_copied(copied):
    cfg = config(workers=7, hooks=Hooks(post_fork=post_fork))
    other = copied(cfg)
    assert other is not cfg
    assert (other.workers, other.post_fork, other.bind, other.root_path) == (7, post_fork, cfg.bind, "")
    with pytest.raises(AttributeError, match="cannot be changed"):
        other.set("workers", 1)


def test_tls_is_told_as_gunicorn_tells_it():
    cfg = config(certfile="/c.pem", cert_reqs=2, sni_certificates={"a": ("/a.pem", None)})
    assert cfg.is_ssl == "/c.pem"
    assert (cfg.ssl_options["certfile"], cfg.ssl_options["cert_reqs"]) == ("/c.pem", 2)
    assert "sni_certificates" not in cfg.ssl_options
    assert cfg.sni_certificates == {"a": ("/a.pem", None)}


def test_the_parser_knows_gunicorns_flags_and_ends_the_process_as_argparse_does(capsys):
    parser = Config(usage="%(prog)s [OPTIONS]", prog="mine").parser()
    given = vars(parser.parse_args(["-w", "3", "--bind", "a:1", "--preload", "--keep-alive", "5", "m:app"]))
    found = {name: value for name, value in given.items() if value is not None}
    assert found == {"args": ["m:app"], "workers": 3, "bind": ["a:1"], "preload_app": True, "keepalive": 5}
    with pytest.raises(SystemExit) as failure:
        parser.parse_args(["--no-such-flag"])
    assert failure.value.code == 2
    assert "usage: mine [OPTIONS]" in capsys.readouterr().err


def test_a_draft_becomes_settings_that_a_server_can_be_run_with(tmp_path, monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    monkeypatch.setenv("PORT", "99")
    cfg = Config()
    assert (cfg.workers, cfg.bind) == (3, ["0.0.0.0:99"])
    cfg.set("workers", 5)
    cfg.set("threads", 2)
    cfg.set("chdir", str(tmp_path))
    cfg.set("pidfile", "x.pid")
    cfg.validate()
    assert (cfg.workers, cfg.worker_class_str, cfg.pidfile) == (5, "gthread", str(tmp_path / "x.pid"))
    cfg.set("threads", None)
    settings = cfg.take()
    assert (settings.worker_class, settings.workers, settings.wsgi_app) == ("sync", 5, "")
    assert (settings.origin("workers"), settings.origin("bind"), settings.origin("threads")) == (
        "cfg.set",
        "PORT",
        "default",
    )
    with pytest.raises(AttributeError, match="cannot be changed in a running server"):
        cfg.set("workers", 1)


def test_a_draft_that_cannot_be_used_says_why(monkeypatch):
    cfg = Config()
    cfg.set("certfile", "/no/such.pem")
    with pytest.raises(ConfigError, match="certfile: expected a file in PEM"):
        cfg.validate()
    monkeypatch.setenv("WEB_CONCURRENCY", "many")
    with pytest.raises(ConfigError, match=r"workers: .*WEB_CONCURRENCY"):
        Config().validate()


def test_a_draft_that_was_pickled_is_a_draft_again():
    cfg = Config()
    cfg.set("workers", 7)
    other = pickle.loads(pickle.dumps(cfg))
    other.set("threads", 2)
    other.validate()
    assert (other.workers, other.threads, cfg.threads) == (7, 2, 1)
