from ostler.config.report import describe_settings
from ostler.config.sources import load_settings


def test_every_value_stands_with_its_origin(start):
    (start / "gunicorn.conf.py").write_text("workers = 3\ndef post_fork(server, worker): ...\n")
    text = describe_settings(load_settings(["app:app", "-b", ":1,:2"], {"FORWARDED_ALLOW_IPS": "*"}, str(start)))
    lines = {line.partition(" ")[0]: line.partition("= ")[2] for line in text.splitlines()}
    assert lines["workers"] == "3  (gunicorn.conf.py)"
    assert lines["bind"] == "0.0.0.0:1, 0.0.0.0:2  (command line)"
    assert lines["forwarded_allow_ips"] == "*  (FORWARDED_ALLOW_IPS)"
    assert lines["keepalive"] == "75  (default)"
    assert lines["post_fork"] == "<post_fork()>  (gunicorn.conf.py)"
    assert "pre_fork" not in lines
