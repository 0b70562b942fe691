"""Paths and checks that need more than one value; through `resolve`, which is all that others see of a draft."""

import importlib
import os
import sys

import pytest

from ostler.config.address import FdAddress, StatsdAddress, SyslogAddress, TcpAddress, UnixAddress
from ostler.config.settings import resolve
from ostler.errors import ConfigError


def finished(directory, **values):
    return resolve({"wsgi_app": "app:application"} | values, dict.fromkeys(values, "a file"), str(directory))


def failure(directory, **values):
    with pytest.raises(ConfigError) as caught:
        finished(directory, **values)
    return str(caught.value)


@pytest.fixture
def site(tmp_path):
    """A start directory with a directory `site` to change to."""
    (tmp_path / "site").mkdir()
    return tmp_path


def test_relative_paths_start_at_chdir(site):
    (site / "site" / "up").mkdir()
    for name in ("log.ini", "watched"):
        (site / "site" / name).touch()
    settings = finished(
        site,
        chdir="site",
        pythonpath=("lib", "/abs"),
        accesslog="logs/access",
        errorlog="../error",
        pidfile="run.pid",
        tmp_upload_dir="up",
        logconfig="log.ini",
        reload_extra_files=("watched", "templates/**/*.html"),
        syslog_addr=SyslogAddress("unix", path="log.sock"),
        statsd_host=StatsdAddress(path="statsd.sock"),
        bind=(UnixAddress("app.sock"), TcpAddress("localhost", 80)),
    )
    base = f"{site}/site"
    assert settings.chdir == base
    assert settings.pythonpath == (f"{base}/lib", "/abs")
    assert (settings.accesslog, settings.errorlog) == (f"{base}/logs/access", f"{site}/error")
    assert settings.pidfile == f"{base}/run.pid"
    assert settings.tmp_upload_dir == f"{base}/up"
    assert settings.logconfig == f"{base}/log.ini"
    assert settings.reload_extra_files == (f"{base}/watched", f"{base}/templates/**/*.html")
    assert settings.syslog_addr.path == f"{base}/log.sock"
    assert settings.statsd_host == StatsdAddress(path=f"{base}/statsd.sock")
    assert settings.bind == (UnixAddress(f"{base}/app.sock"), TcpAddress("localhost", 80))


def test_names_that_are_no_files_stay_as_they_are(site):
    bind = (UnixAddress("name", abstract=True), FdAddress(3, ""), FdAddress(None, "web"))
    settings = finished(site, chdir="site", accesslog="-", bind=bind)
    assert (settings.accesslog, settings.errorlog, settings.pidfile) == ("-", "-", None)
    assert settings.bind == bind


def test_an_address_stands_once_unless_the_kernel_picks_its_port(site):
    assert failure(site, bind=(UnixAddress("a"), UnixAddress(f"{site}/a"))) == (
        f"bind: unix:{site}/a is given twice (from a file)"
    )
    assert len(finished(site, bind=(TcpAddress("::1", 0), TcpAddress("::1", 0))).bind) == 2


def test_chdir_is_a_directory(site):
    (site / "file").touch()
    assert failure(site, chdir="no") == f'chdir: expected a directory, got "{site}/no": nothing there (from a file)'
    assert failure(site, chdir="file") == f'chdir: expected a directory, got "{site}/file": a file (from a file)'


def test_a_link_of_a_deployment_stays_a_link(site):
    (site / "current").symlink_to("site")
    assert finished(site, chdir="current").chdir == f"{site}/current"


# Paste


def test_paste_starts_where_the_server_was_started_and_names_the_processes(site):
    (site / "app.ini").touch()
    settings = finished(site, wsgi_app=None, paste="app.ini#main", chdir="site")
    assert settings.paste == f"{site}/app.ini#main"
    assert settings.wsgi_app == ""
    assert settings.proc_name == f"{site}/app.ini"


def test_paste_wins_over_an_application_and_says_so(site):
    (site / "app.ini").touch()
    assert finished(site, paste="app.ini").notices == (
        'wsgi_app: "app:application" is not used, because paste names the application',
    )


def test_the_file_of_paste_exists(site):
    assert failure(site, paste="app.ini") == (
        f'paste: expected a PasteDeploy file, got "{site}/app.ini": nothing there (from a file)'
    )


# Names and users


def test_processes_are_named_by_the_strongest_name(site):
    assert finished(site).proc_name == "app:application"
    assert finished(site, default_proc_name="framework").proc_name == "framework"
    named = finished(site, default_proc_name="framework", proc_name="shop")
    assert (named.proc_name, named.default_proc_name) == ("shop", "framework")


def test_workers_run_as_the_user_of_the_server_unless_told_otherwise(site):
    assert (finished(site).user, finished(site).group) == (os.geteuid(), os.getegid())
    assert (finished(site, user=33, group=44).user, finished(site, user=33, group=44).group) == (33, 44)


def test_a_sync_worker_with_threads_is_gthread(site):
    settings = finished(site, threads=2)
    assert settings.worker_class == "gthread"
    assert settings.origin("worker_class") == "threads > 1"


# Logging configurations


def test_the_dict_wins_over_json_and_json_over_the_ini_file(site):
    (site / "log.json").touch()
    both = finished(site, logconfig_json="log.json", logconfig="missing.ini")
    assert both.notices == ("logconfig: is not used, because logconfig_json is set; remove one of them",)
    three = finished(site, logconfig_dict={"version": 1}, logconfig_json="missing.json", logconfig="missing.ini")
    assert [notice.partition(":")[0] for notice in three.notices] == ["logconfig_json", "logconfig"]


@pytest.mark.parametrize("name", ["logconfig", "logconfig_json"])
def test_a_logging_configuration_that_is_used_exists(site, name):
    assert failure(site, **{name: "missing"}) == (
        f'{name}: expected a file with a logging configuration, got "{site}/missing": nothing there (from a file)'
    )
    assert "a directory" in failure(site, **{name: "site"})


# Files and directories


def test_a_watched_file_exists_and_a_pattern_need_not_match(site):
    assert finished(site, reload_extra_files=("*.none",)).reload_extra_files == (f"{site}/*.none",)
    assert failure(site, reload_extra_files=("none",)) == (
        f'reload_extra_files: expected files that exist, or patterns, got "{site}/none": nothing there (from a file)'
    )


def test_the_directory_for_uploads_exists(site):
    assert failure(site, tmp_upload_dir="none") == (
        f'tmp_upload_dir: expected a directory, got "{site}/none": nothing there (from a file)'
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_the_directory_for_uploads_can_be_written(site):
    (site / "site").chmod(0o500)
    assert "tmp_upload_dir: cannot write in" in failure(site, tmp_upload_dir="site")


# Settings without an effect


def test_a_setting_without_an_effect_is_told(site):
    (notice,) = finished(site, worker_tmp_dir="/dev/shm").notices
    assert notice.startswith("worker_tmp_dir: has no effect: the heartbeat of a worker is in shared memory")
    assert notice.endswith("(from a file)")
    assert finished(site).notices == ()


def test_a_name_without_setproctitle_is_told(site, monkeypatch):
    monkeypatch.setattr("sys.path", [str(site)])
    monkeypatch.delitem(sys.modules, "setproctitle", raising=False)
    (notice,) = finished(site, proc_name="shop").notices
    assert "pip install ostler[setproctitle]" in notice
    (site / "setproctitle.py").touch()
    importlib.invalidate_caches()
    assert finished(site, proc_name="shop").notices == ()


# -- TLS


@pytest.fixture
def pems(site):
    for name in ("cert.pem", "key.pem", "ca.pem", "shop.pem"):
        (site / name).touch()
    return site


def test_files_of_tls_start_at_chdir_too(pems):
    names = {"shop.example": ("../shop.pem", None), "*.example": ("../cert.pem", "../key.pem")}
    settings = finished(
        pems, chdir="site", certfile="../cert.pem", keyfile="../key.pem", ca_certs="../ca.pem", cert_reqs=2,
        sni_certificates=names,
    )  # fmt: skip
    assert (settings.certfile, settings.keyfile, settings.ca_certs) == tuple(
        f"{pems}/{name}.pem" for name in ("cert", "key", "ca")
    )
    assert settings.sni_certificates["shop.example"] == (f"{pems}/shop.pem", None)
    assert settings.sni_certificates["*.example"] == (f"{pems}/cert.pem", f"{pems}/key.pem")
    assert settings.is_tls
    assert settings.notices == ()


def test_without_a_certificate_there_is_no_tls(site):
    assert not finished(site).is_tls


def test_a_key_alone_is_refused_unless_a_hook_makes_the_context(pems):
    assert failure(pems, keyfile="key.pem") == "keyfile: is of no use without certfile (from a file)"
    assert finished(pems, keyfile="key.pem", ssl_context=lambda config, factory: None).is_tls


@pytest.mark.parametrize("name", ["certfile", "keyfile", "ca_certs", "sni_certificates"])
@pytest.mark.parametrize(("path", "found"), [("none.pem", "nothing there"), ("site", "a directory")])
def test_a_file_of_tls_that_is_not_there_is_told(pems, name, path, found):
    value = {"a.example": ("cert.pem", path)} if name == "sni_certificates" else path
    values = {"certfile": "cert.pem"} | {name: value}
    assert failure(pems, **values) == f'{name}: expected a file in PEM, got "{pems}/{path}": {found} (from a file)'


def test_names_need_a_certificate_for_everybody_else(pems):
    text = failure(pems, sni_certificates={"a.example": ("cert.pem", None)})
    assert text.startswith("sni_certificates: TLS is off; set certfile too")


@pytest.mark.parametrize("wanted", [1, 2])
def test_certificates_of_clients_need_an_authority(pems, wanted):
    assert failure(pems, certfile="cert.pem", cert_reqs=wanted).startswith("cert_reqs: nobody could be checked;")
    assert finished(pems, certfile="cert.pem", cert_reqs=wanted, ca_certs="ca.pem").notices == ()
    assert finished(pems, certfile="cert.pem", cert_reqs=wanted, ssl_context=lambda config, factory: None).is_tls


def test_settings_of_tls_without_an_effect_are_told(pems):
    hook = {"ssl_context": lambda config, factory: None}
    assert finished(pems, ca_certs="ca.pem", ciphers="HIGH", **hook).notices == tuple(
        f"{name}: has no effect without certfile (from a file)" for name in ("ca_certs", "ciphers", "ssl_context")
    )
    assert finished(pems, certfile="cert.pem", ca_certs="ca.pem").notices == (
        "ca_certs: has no effect, because cert_reqs is 0 (from a file)",
    )


def test_settings_that_need_another_one_say_so(tmp_path):
    values = {"wsgi_app": "a:b", "trusted_hops": 2, "proxy_allow_ips": "*", "uwsgi_allow_ips": "*"}
    origins = dict.fromkeys(values, "a file")
    notices = resolve(values, origins, str(tmp_path)).notices
    assert len([notice for notice in notices if "has no effect without" in notice]) == 3
    values |= {"remote_addr_from": "forwarded", "proxy_protocol": "auto", "protocol": "uwsgi"}
    notices = resolve(values, origins, str(tmp_path)).notices
    assert not any("has no effect without" in notice for notice in notices)


# -- How workers are replaced


def test_something_must_be_replaceable(site):
    assert failure(site, reload_surge=0) == (
        "reload_surge: 0 with a reload_max_unavailable of 0: nothing could be replaced; set one of them to 1 or more "
        "(from a file)"
    )
    assert finished(site, reload_surge=0, reload_max_unavailable=1).reload_surge == 0


def test_reforking_needs_a_mold_and_workers_that_can_become_one(site):
    assert failure(site, refork_after=(500,)) == "refork_after: needs preload_app (from a file)"
    for threaded in ({"worker_class": "gthread"}, {"threads": 2}):
        message = failure(site, refork_after=(500,), preload_app=True, **threaded)
        assert message == "refork_after: needs sync workers, not gthread, which has threads (from a file)"
    settings = finished(site, refork_after=(500, 2000), preload_app=True)
    assert settings.refork_after == (500, 2000)
    assert settings.notices == ()


@pytest.mark.parametrize("other", [{"user": os.geteuid() + 1}, {"group": os.getegid() + 1}])
def test_reforking_is_off_where_workers_are_not_who_the_server_is(site, other):
    settings = finished(site, refork_after=(500,), preload_app=True, **other)
    assert settings.refork_after == ()
    (notice,) = settings.notices
    assert notice.startswith(f"refork_after: has no effect with {next(iter(other))}: ")
    assert notice.endswith("start the server as who its workers are (from a file)")
    same = finished(site, refork_after=(500,), preload_app=True, user=os.geteuid(), group=os.getegid())
    assert (same.refork_after, same.notices) == ((500,), ())


@pytest.mark.parametrize(
    ("needs", "values"),
    [
        ("preload_app", {"preload_unsafe": "refuse"}),
        ("max_worker_age", {"max_worker_age_jitter": 5.0}),
        ("max_worker_memory", {"max_worker_memory_jitter": 5}),
        ("max_worker_memory", {"max_worker_memory_measure": "pss"}),
        ("max_worker_memory", {"trace_memory": True}),
        ("lame_duck", {"readiness_path": ("/ready",)}),
        ("queue_timeout", {"health_paths": ("/alive",)}),
        ("workers_max", {"workers_min": 1}),
    ],
)
def test_what_acts_only_beside_another_setting_is_told(site, needs, values):
    (name,) = values
    (notice,) = finished(site, **values).notices
    assert notice.startswith(f"{name}: ")
    assert needs in notice
    others = {"preload_app": True, "max_worker_age": 10.0, "max_worker_memory": 2**29, "lame_duck": 5.0}
    others |= {"queue_timeout": 2.0, "workers_max": 1}
    assert finished(site, **values, **{needs: others[needs]}).notices == ()


def test_preloading_goes_with_reloading_on_changes(site):
    settings = finished(site, preload_app=True, reload=True)
    assert (settings.preload_app, settings.reload, settings.notices) == (True, True, ())


def test_the_master_chooses_between_bounds(site):
    settings = finished(site, workers=3, workers_max=6)
    assert (settings.workers_min, settings.workers, settings.workers_max) == (3, 3, 6)
    settings = finished(site, workers_min=2, workers_max=6)  # nobody said where to begin
    assert (settings.workers_min, settings.workers, settings.workers_max) == (2, 2, 6)
    settings = finished(site, workers="auto", workers_min=1, workers_max=1)
    assert (settings.workers_min, settings.workers, settings.workers_max) == (1, 1, 1)
    settings = finished(site, workers=3)
    assert (settings.workers_min, settings.workers_max) == (0, 0)


@pytest.mark.parametrize("values", [{"workers": 7}, {"workers": 1, "workers_min": 2}, {"workers_min": 7}])
def test_bounds_that_exclude_each_other_are_refused(site, values):
    text = failure(site, workers_max=6, **values)
    assert text.startswith("workers_max: expected workers_min <= workers <= workers_max, got workers_min=")
    assert "workers_max=6 (from a file)" in text
