"""What hooks have stored on a worker in the master, on its way to a worker that a mold forks: as text, by pickle.

A worker that the master forks inherits it. Here each attribute goes by itself, so that one that cannot (a lock, an open
file, an object of a class that the configuration file defines) takes no others with it.

Rules for editing: both ends are the same program; the text comes from the master, over a channel that nobody else has.
"""

import base64
import json
import pickle
from collections.abc import Mapping
from typing import Any

Problems = dict[str, str]
"""By attribute: why it did not arrive."""


def pack(attributes: Mapping[str, Any], limit_characters: int) -> tuple[str, Problems]:
    """For `unpack`; "" when there is nothing."""
    found: dict[str, str] = {}
    problems: Problems = {}
    room = limit_characters - len("{}")
    for name, value in attributes.items():
        try:
            text = base64.b64encode(pickle.dumps(value)).decode("ascii")
        except Exception as error:  # noqa: BLE001  __reduce__ and its like are users' code
            problems[name] = f"{type(error).__name__}: {error}"
            continue
        room -= len(json.dumps({name: text}))
        if room < 0:
            problems[name] = f"all of them together need more than {limit_characters} characters"
            break
        found[name] = text
    return json.dumps(found) if found else "", problems


def unpack(text: str) -> tuple[dict[str, Any], Problems]:
    attributes: dict[str, Any] = {}
    problems: Problems = {}
    for name, packed in json.loads(text or "{}").items():
        try:
            attributes[name] = pickle.loads(base64.b64decode(packed))
        except Exception as error:  # noqa: BLE001  users' code
            problems[name] = f"{type(error).__name__}: {error}"
    return attributes, problems
