import os
import pwd

import pytest

from ostler.config.parse import BadValue
from ostler.config.sections.identity import read_group, read_user


@pytest.mark.parametrize(("raw", "number"), [(33, 33), ("33", 33), (" 33 ", 33), (0, 0), (None, None)])
def test_a_user_or_group_may_be_a_number(raw, number):
    assert read_user(raw) == number
    assert read_group(raw) == number


def test_a_user_may_be_a_name():
    me = pwd.getpwuid(os.getuid())
    assert read_user(me.pw_name) == me.pw_uid


def test_an_unknown_name_is_told():
    with pytest.raises(BadValue) as caught:
        read_user("no-such-user")
    assert caught.value.message("user", "gunicorn.conf.py") == (
        'user: expected the name or number of a user, got "no-such-user" (from gunicorn.conf.py); '
        "this system has no such user"
    )
    with pytest.raises(BadValue, match="group"):
        read_group("no-such-group")


@pytest.mark.parametrize("raw", [-1, True, 2**32 - 1, "", 1.5, ["www"], "a\0b"])
def test_other_things_are_no_user(raw):
    with pytest.raises(BadValue):
        read_user(raw)
