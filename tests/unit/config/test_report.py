import logging

from ostler.config.report import describe_settings
from ostler.config.settings import Settings, resolve
from ostler.config.sources import load_settings


def lines_of(settings):
    text = describe_settings(settings)
    assert all(" = " in line and line.endswith(")") for line in text.splitlines())
    return {line.partition(" ")[0]: line.partition("= ")[2] for line in text.splitlines()}


def given(tmp_path, **values):
    return resolve({"wsgi_app": "a:b"} | values, dict.fromkeys(values, "a file"), str(tmp_path))


def test_every_value_stands_with_its_origin(start):
    (start / "gunicorn.conf.py").write_text("workers = 3\ndef post_fork(server, worker): ...\n")
    lines = lines_of(load_settings(["app:app", "-b", ":1,:2"], {"FORWARDED_ALLOW_IPS": "*"}, str(start)))
    assert lines["workers"] == "3  (gunicorn.conf.py)"
    assert lines["bind"] == "0.0.0.0:1, 0.0.0.0:2  (command line)"
    assert lines["forwarded_allow_ips"] == "*  (FORWARDED_ALLOW_IPS)"
    assert lines["keepalive"] == "75  (default)"
    assert lines["post_fork"] == "<post_fork()>  (gunicorn.conf.py)"
    assert "pre_fork" not in lines


def test_values_of_every_shape_are_readable():
    lines = lines_of(Settings.defaults(umask=0o22, logger_class=logging.Logger, raw_env=("A=1", "B=2")))
    assert lines["umask"] == "0o022  (default)"
    assert lines["logger_class"] == "<class logging.Logger>  (default)"
    assert lines["raw_env"] == "A=1, B=2  (default)"
    assert lines["pidfile"] == lines["pythonpath"] == lines["dogstatsd_tags"] == "none  (default)"
    assert lines["syslog_addr"].startswith(("udp://", "unix://"))
    assert lines["secure_scheme_headers"].startswith("X-FORWARDED-PROTOCOL: ssl, ")


def test_a_value_with_a_line_break_stays_on_its_line(tmp_path):
    assert lines_of(given(tmp_path, access_log_format="a\nb"))["access_log_format"] == "'a\\nb'  (a file)"


def test_settings_without_an_effect_stand_there_when_they_were_given(tmp_path):
    lines = lines_of(given(tmp_path, worker_tmp_dir="/dev/shm", http_protocols="h1", control_socket_mode=0o600))
    assert lines["worker_tmp_dir"] == "/dev/shm  (a file)"
    assert lines["http_protocols"] == "h1  (a file)"
    assert lines["control_socket_mode"] == "0o600  (a file)"
    assert "worker_tmp_dir" not in lines_of(Settings.defaults())
