"""Becoming somebody else is for good, so it happens in forked children, which tell in a pipe what became of them."""

import json
import os
import pwd

import pytest

from ostler.errors import OstlerError
from ostler.process.fork import fork
from ostler.process.privileges import can_become, drop

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

NOBODY = pwd.getpwnam("nobody")
UID, GID = NOBODY.pw_uid, NOBODY.pw_gid


def in_child(function):
    """What `function` returned in a child, through JSON; an OstlerError is its text."""
    reader, writer = os.pipe()

    def run():
        try:
            answer = function()
        except OstlerError as error:
            answer = str(error)
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)

    pid = fork(run)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    assert os.waitpid(pid, 0)[1] == 0
    return json.loads(text)


def ids():
    return [os.getresuid(), os.getresgid(), sorted(os.getgroups())]


def test_all_ids_change_and_roots_groups_go():
    def become():
        os.setgroups([0, 4, 27])
        drop(UID, GID)
        return ids()

    assert in_child(become) == [[UID] * 3, [GID] * 3, [GID]]


def test_there_is_no_way_back():
    def try_to_return():
        drop(UID, GID)
        try:
            os.setuid(0)
        except PermissionError:
            return "refused"
        return "root again"

    assert in_child(try_to_return) == "refused"


def test_initgroups_sets_the_groups_of_the_user_and_the_group_itself():
    def become():
        os.setgroups([0, 4, 27])
        drop(UID, GID, initgroups=True)
        return ids()

    assert in_child(become) == [[UID] * 3, [GID] * 3, sorted(os.getgrouplist("nobody", GID))]


def test_an_id_without_a_name_has_its_group_alone():
    def become():
        os.setgroups([0, 4])
        drop(54321, 54322, initgroups=True)
        return ids()

    assert in_child(become) == [[54321] * 3, [54322] * 3, [54322]]


def test_only_the_group_changes_and_root_keeps_its_own():
    def become():
        os.setgroups([0, 4])
        drop(0, GID)
        return ids()

    assert in_child(become) == [[0] * 3, [GID] * 3, [0, 4]]


def test_nothing_happens_when_nothing_was_asked_for():
    def become():
        os.setgroups([0, 4])
        drop(os.geteuid(), os.getegid())
        return ids()

    assert in_child(become) == [[0] * 3, [0] * 3, [0, 4]]


def test_a_user_may_stay_what_it_is_and_keeps_its_groups():
    def stay():
        os.setgroups([GID, 4])
        os.setgid(GID)
        os.setuid(UID)
        drop(UID, GID)
        drop(UID, GID, initgroups=True)
        return [can_become(UID, GID), *ids()]

    assert in_child(stay) == ["", [UID] * 3, [GID] * 3, sorted({GID, 4})]


def test_who_is_not_root_cannot_become_somebody_else_and_is_told_so():
    def try_it():
        drop(UID, GID)
        reasons = [can_become(0, GID), can_become(UID, 0)]
        drop(33, 33)
        return reasons

    assert in_child(try_it) == (
        f"user: only root can become uid 33, and this is uid {UID}, gid {GID}; start as root, or leave it out"
    )

    def ask():
        drop(UID, GID)
        return [can_become(0, GID), can_become(UID, 0), ids()[0]]

    assert in_child(ask) == [
        f"user: only root can become uid 0, and this is uid {UID}, gid {GID}; start as root, or leave it out",
        f"group: only root can become gid 0, and this is uid {UID}, gid {GID}; start as root, or leave it out",
        [UID] * 3,
    ]


def test_root_may_become_anybody():
    assert can_become(UID, GID) == ""
    assert os.geteuid() == 0
