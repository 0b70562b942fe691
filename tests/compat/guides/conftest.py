"""Fixtures of the guides' tests: one network for each module, and a site whose server is stopped and checked."""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.compat.guides.network import own_network
from tests.compat.guides.shown import Served
from tests.compat.guides.site import Site
from tests.integration.conftest import SERVERS
from tests.integration.harness import Server
from tests.integration.waiting import wait_until


@pytest.fixture(scope="module")
def apart() -> Iterator[bool]:
    """The module's tests in a network of their own, or False."""
    with own_network() as alone:
        yield alone


@pytest.fixture
def site(apart: bool, make_server: Callable[..., Server]) -> Callable[..., Site]:
    """site("production"): the guide's files in a directory; nothing is started."""

    def make(guide: str, port: int = 8000) -> Site:
        return Site(make_server(), guide, apart, port)

    return make


@pytest.fixture(scope="module")
def module_site(apart: bool) -> Iterator[Callable[[str], Site]]:
    """The same, for servers that all tests of a module share."""
    servers: list[Server] = []

    def make(guide: str) -> Site:
        servers.append(Server())
        return Site(servers[-1], guide, apart)

    try:
        yield make
        for server in servers:
            if not server.exited:
                assert server.stop() == 0
    finally:
        for server in servers:
            server.kill_leftovers()
            server.hang_up()
            server.remove()


@pytest.fixture
def served(module_served: Served, request: pytest.FixtureRequest) -> Served:
    """The module's site; its server's log is shown when the test fails."""
    request.node.stash[SERVERS] = [module_served.site.server]
    return module_served


@pytest.fixture(scope="module")
def module_served(module_site: Callable[[str], Site], request: pytest.FixtureRequest) -> Served:
    """Made by the module's own `begin(make)`, which starts the server; an idle connection is added."""
    site, file, app = request.module.begin(module_site)
    wait_until(lambda: answers(site), "the site answers", 15)
    idle = site.client()
    assert idle.get("/health").status == 200
    return Served(site, file, app, idle, time.monotonic())


def answers(site: Site) -> bool:
    assert not site.server.exited, site.server.log()
    try:
        return site.get("/health").status == 200
    except OSError:
        return False
