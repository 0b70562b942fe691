"""A fixture that serves one of the projects of this folder from a directory of its own."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.compat.command import SCRIPT
from tests.integration.client import Address
from tests.integration.harness import Server

FOLDER: Final = Path(__file__).parent
SAID: Final = "127.0.0.1:8000"


@pytest.fixture
def project(make_server: Callable[..., Server]) -> Callable[..., Server]:
    """project("odoo", *words): its files in the server's directory, and `ostler` run there with these words.

    command: what stands before the words. Waits for `ready` workers; with 0, for nothing. `transport` "unix" gives an
    address that the caller binds.
    """

    def run(
        name: str,
        *words: str,
        command: Sequence[str] = (SCRIPT,),
        ready: int = 1,
        env: dict[str, str] | None = None,
        transport: str = "tcp",
    ) -> Server:
        server = make_server(transport)
        copy(FOLDER / name, server.home, server.address)
        shown = [replaced(word, server.address) for word in words]
        environment = {key: replaced(value, server.address) for key, value in (env or {}).items()}
        server.launch([*command, *shown], {"SPT_NOENV": "1", **environment}, server.home)
        if ready:
            server.wait_ready(ready)
        return server

    return run


def copy(source: Path, target: Path, address: Address) -> None:
    target.chmod(0o755)  # a worker may be another user
    for directory, _, files in os.walk(source):
        if directory.endswith("__pycache__"):
            continue
        into = target / Path(directory).relative_to(source)
        into.mkdir(exist_ok=True)
        for file in files:
            (into / file).write_text(replaced((Path(directory) / file).read_text(), address))


def replaced(text: str, address: Address) -> str:
    return text if isinstance(address, str) else text.replace(SAID, f"{address[0]}:{address[1]}")
