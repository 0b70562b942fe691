from dataclasses import FrozenInstanceError, fields, replace

import pytest

from ostler.config.sections import ENTRIES, HOOKS, TABLE
from ostler.config.setting import ReloadEffect
from ostler.config.settings import Hooks, Settings, keep_until_restart, resolve, restart_needed
from ostler.errors import ConfigError


def test_every_entry_that_acts_is_an_attribute_and_the_other_way_round():
    attributes = {field.name for field in fields(Settings)} - {"hooks", "origins", "others", "notices"}
    assert {entry.name for entry in TABLE if entry.acts} == attributes
    assert {entry.name for entry in HOOKS if entry.acts} == {field.name for field in fields(Hooks)}


def test_the_values_of_the_other_entries_are_there_too():
    settings = Settings.defaults()
    assert settings.others.keys() == {entry.name for entry in ENTRIES if not entry.acts}
    assert settings.others["http_protocols"] == "h1"
    assert settings.others["dirty_apps"] == ()


def test_the_defaults_are_whole_and_may_be_changed():
    settings = Settings.defaults(workers=3)
    assert (settings.workers, settings.keepalive, settings.worker_class) == (3, 75, "sync")
    assert [str(address) for address in settings.bind] == ["127.0.0.1:8000"]
    assert settings.forwarded_allow_ips.allows("127.0.0.1")
    assert settings.origin("workers") == "default"


def test_an_unknown_name_is_no_setting():
    with pytest.raises(TypeError, match="no such setting: worker"):
        Settings.defaults(worker=3)


def test_settings_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Settings.defaults().workers = 2


def test_hooks_that_were_given_are_in_their_place(tmp_path):
    def ready(server): ...

    settings = resolve({"wsgi_app": "a:b", "when_ready": ready, "on_dirty_starting": None}, {}, str(tmp_path))
    assert settings.hooks == Hooks(when_ready=ready)
    assert settings.others["on_dirty_starting"] is None


def test_notices_of_the_sources_are_kept(tmp_path):
    settings = resolve({"wsgi_app": "a:b"}, {}, str(tmp_path), ["worker: did you mean workers?"])
    assert settings.notices == ("worker: did you mean workers?",)


def test_an_application_is_needed(tmp_path):
    with pytest.raises(ConfigError, match="no application given"):
        resolve({}, {}, str(tmp_path))


def test_what_needs_a_restart_is_named_and_keeps_its_value():
    old = Settings.defaults(daemon=False, workers=1)
    new = replace(Settings.defaults(daemon=True, workers=2), origins={"daemon": "file", "workers": "file"})
    assert restart_needed(old, new) == ("daemon",)
    kept = keep_until_restart(old, new)
    assert (kept.daemon, kept.workers) == (False, 2)
    assert (kept.origin("daemon"), kept.origin("workers")) == ("default", "file")
    assert restart_needed(old, old) == ()


def test_what_a_file_can_change_only_by_a_restart_is_little():
    restart = {entry.name for entry in TABLE if entry.acts and entry.reload is ReloadEffect.RESTART}
    assert restart == {"config", "daemon", "enable_stdio_inheritance", "reuse_port"} | {
        "control_socket",
        "control_socket_mode",
        "control_socket_disable",
        "check_config",
        "print_config",
    }


def test_another_configuration_file_is_no_reason_to_restart():
    assert restart_needed(Settings.defaults(config=None), Settings.defaults(config="gunicorn.conf.py")) == ()
