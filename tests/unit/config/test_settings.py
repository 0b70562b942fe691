from dataclasses import FrozenInstanceError, fields

import pytest

from ostler.config.sections import HOOKS, TABLE
from ostler.config.settings import Hooks, Settings


def test_every_entry_of_the_table_is_an_attribute_and_the_other_way_round():
    attributes = {field.name for field in fields(Settings)} - {"hooks", "origins"}
    assert {entry.name for entry in TABLE} == attributes
    assert [entry.name for entry in HOOKS] == [field.name for field in fields(Hooks)]


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
