"""The schema against the readers: what an editor lets pass is accepted."""

import json

import pytest

from ostler.config.parse import BadValue
from ostler.config.schema import make_schema, render
from ostler.config.sections import ENTRIES, HOOKS
from ostler.config.setting import Support

BY_NAME = {entry.name: entry for entry in ENTRIES}
PROPERTIES = make_schema()["properties"]


def test_it_is_json_of_the_dialect_that_it_names():
    schema = json.loads(render())
    assert schema == make_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False


def test_each_setting_that_a_toml_file_can_hold_is_there():
    missing = BY_NAME.keys() - PROPERTIES.keys()
    off_is_none = {entry.name for entry in ENTRIES if entry.support is Support.REFUSED and entry.default is None}
    assert missing == off_is_none | {"config"}


@pytest.mark.parametrize("name", PROPERTIES)
def test_what_the_schema_offers_is_accepted(name):
    made = PROPERTIES[name]
    offered = [made[key] for key in ("default", "const", "minimum") if key in made] + made.get("enum", [])
    for value in offered:
        BY_NAME[name].read(value)


@pytest.mark.parametrize("name", [name for name, made in PROPERTIES.items() if "minimum" in made])
def test_below_the_minimum_nothing_is_accepted(name):
    with pytest.raises(BadValue):
        BY_NAME[name].read(PROPERTIES[name]["minimum"] - 1)


@pytest.mark.parametrize("name", [name for name, made in PROPERTIES.items() if "enum" in made])
def test_outside_of_the_choice_nothing_is_accepted(name):
    with pytest.raises(BadValue):
        BY_NAME[name].read("something else")


# No address; too large.
UNFIT = {("bind", "array"), ("umask", "integer"), ("control_socket_mode", "integer"), ("cert_reqs", "integer")}
EXAMPLES = {"integer": 600, "boolean": False, "array": [], "object": {}}


@pytest.mark.parametrize("name", [name for name, made in PROPERTIES.items() if "type" in made])
def test_a_value_of_each_type_is_accepted(name):
    types = PROPERTIES[name]["type"]
    for kind in [types] if isinstance(types, str) else types:
        if kind in EXAMPLES and (name, kind) not in UNFIT:
            BY_NAME[name].read(EXAMPLES[kind])


def test_hooks_are_dotted_paths():
    for entry in HOOKS:
        assert (entry.name in PROPERTIES) == entry.acts
    assert PROPERTIES["post_fork"]["type"] == "string"
