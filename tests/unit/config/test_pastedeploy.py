import sys

import pytest

from ostler.config.pastedeploy import PasteFile, global_conf_of, load_app, section_settings
from ostler.errors import AppLoadError, ConfigError

APPLICATIONS = """
def make(global_conf, **local):
    def application(environ, start_response): ...
    application.known = (dict(global_conf), local)
    return application
"""


def written(start, text, name="production.ini"):
    (start / name).write_text(text)
    return PasteFile(name, str(start), "the command line", {"more": "4"})


def failure(call, *arguments):
    with pytest.raises(ConfigError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "use", ["egg:gunicorn#main", "egg:ostler#main", "egg:gunicorn", "egg:Ostler # main", "egg: gunicorn#main"]
)
def test_a_section_for_this_server_holds_settings(start, use):
    file = written(start, f"[server:main]\nuse = {use}\nworkers = 3\nKeepAlive = 5\n")
    assert file.settings() == {"workers": "3", "keepalive": "5"}


@pytest.mark.parametrize(
    "text",
    [
        "[server:main]\nuse = egg:waitress#main\nthreads = 3\nurl_scheme = https\n",
        "[server:main]\nuse = egg:gunicorn#other\nx = 3\n",
        "[server:main]\nx = 3\n",
        "[server:other]\nuse = egg:gunicorn#main\nworkers = 3\n",
        "[app:main]\nuse = egg:gunicorn#main\nworkers = 3\n",
        "",
    ],
)
def test_other_sections_say_nothing_to_us(start, text):
    file = written(start, text)
    assert (file.settings(), file.config()) == ({}, None)


def test_the_short_name_of_the_section_is_known_too(start):
    assert written(start, "[server]\nuse = egg:ostler\nworkers = 3\n").settings() == {"workers": "3"}


def test_names_follow_the_rules_of_pastedeploy(start):
    file = written(
        start,
        "[DEFAULT]\nthreads = 9\nset me = 1\n[server:main]\nuse = egg:ostler#main\nset debug = true\nget x = y\n"
        "pidfile = %(here)s/%(threads)s-%(more)s%%\nerrorlog = %(__file__)s.log\nconfig = %(here)s/conf.py\n",
    )
    place = str(start)
    assert file.settings() == {"pidfile": f"{place}/9-4%", "errorlog": f"{place}/production.ini.log"}
    assert file.config() == f"{place}/conf.py"


def test_a_file_that_configures_logging_is_the_logconfig(start):
    file = written(start, "[loggers]\nkeys = root\n")
    assert file.implied() == file.settings() == {"logconfig": str(start / "production.ini")}


def test_values_are_read_by_kind():
    given = {"reload": "yes", "raw_env": "\nA=1 b\nB=2", "secure_scheme_headers": '{"X": "y"}', "Workers": "4"}
    assert section_settings(given, "x.ini") == {
        "reload": True,
        "raw_env": ["A=1 b", "B=2"],
        "secure_scheme_headers": {"X": "y"},
        "workers": "4",
    }


@pytest.mark.parametrize(
    ("given", "bind"),
    [
        ({"host": "127.0.0.1", "port": "80"}, ["127.0.0.1:80"]),
        ({"host": "a:1, b:2"}, ["a:1", "b:2"]),
        ({"port": "80"}, ["127.0.0.1:80"]),
        ({"bind": ":1,:2"}, [":1,:2"]),
    ],
)
def test_host_and_port_are_bind(given, bind):
    assert section_settings(given, "x.ini") == {"bind": bind}


def test_what_is_wrong_in_a_section_is_told_with_its_place(start):
    assert failure(section_settings, {"host": "a", "bind": "b"}, "x.ini") == (
        "bind: expected either bind or host and port, got both (from x.ini)"
    )
    file = written(start, "[server:main]\nuse = egg:ostler#main\nworker = 3\n")
    assert failure(file.settings) == (
        "worker: expected a setting, got a name that is none (from [server:main] of production.ini); "
        "did you mean workers?"
    )
    assert failure(section_settings, {"reload": "ja"}, "x.ini").endswith('got "ja" (from x.ini)')
    file = written(start, "[server:main]\nuse = egg:ostler#main\nworkers = %(unknown)s\n")
    assert failure(file.settings).startswith("paste: cannot understand production.ini: Bad value substitution")


def test_a_file_that_cannot_be_understood_or_read_is_told(start):
    (start / "broken.ini").write_text("no section\n")
    (start / "bytes.ini").write_bytes(b"[a]\nx = \xff\n")
    for name, part in (
        ("broken.ini", "cannot understand broken.ini: File contains no section headers"),
        ("bytes.ini", "cannot understand bytes.ini: 'utf-8' codec"),
        ("none.ini#x", 'expected a file, got "none.ini": nothing there (from the command line)'),
        (".", 'cannot read ".": is a directory (from the command line)'),
    ):
        assert part in failure(PasteFile, name, str(start), "the command line", {})


def test_an_equals_sign_of_a_variable_may_be_escaped():
    entries = ("a=1", "b\\=c=2\\=3", "d=e=f", "g=")
    assert global_conf_of(entries) == {"a": "1", "b=c": "2=3", "d": "e=f", "g": ""}


def test_the_application_is_loaded_by_name_with_the_variables(start):
    (start / "paste_apps_of_test.py").write_text(APPLICATIONS)
    sys.path.insert(0, str(start))
    directory = start / "a:b c"
    directory.mkdir()
    (directory / "production.ini").write_text(
        "[app:main]\npaste.app_factory = paste_apps_of_test:make\nname = main\n"
        "[app:other]\npaste.app_factory = paste_apps_of_test:make\nname = %(more)s\n"
    )
    file = f"{directory}/production.ini"
    assert load_app(file, {}, "/").known[1] == {"name": "main"}
    global_conf, local = load_app("production.ini#other", {"more": "4"}, str(directory)).known
    assert local == {"name": "4"}
    assert global_conf == {"more": "4", "here": str(directory), "__file__": file}


def test_an_application_that_is_not_in_the_file_is_told_from_one_that_raises(start):
    (start / "paste_raising_of_test.py").write_text("def make(global_conf):\n    return global_conf['missing']\n")
    (start / "paste_broken_of_test.py").write_text("{}['missing']\n")
    sys.path.insert(0, str(start))
    (start / "x.ini").write_text(
        "[app:raising]\npaste.app_factory = paste_raising_of_test:make\n"
        "[app:broken]\npaste.app_factory = paste_broken_of_test:make\n"
    )
    with pytest.raises(AppLoadError, match="paste: cannot find the application none: No section 'none'"):
        load_app("x.ini#none", {}, str(start))
    for name in ("raising", "broken"):
        with pytest.raises(KeyError, match="missing"):
            load_app(f"x.ini#{name}", {}, str(start))
