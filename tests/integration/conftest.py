"""Fixtures of the integration tests: servers that are stopped and checked, their logs shown when a test fails."""

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import pytest

from tests.integration.client import Address
from tests.integration.harness import Server
from tests.integration.proxy import Nginx

SERVERS = pytest.StashKey[list[Server]]()
FIGURES = pytest.StashKey[list[str]]()
CONTRACT = "contract:application"

if not sys.platform.startswith("linux"):
    pytest.skip("the harness reads /proc: Linux only", allow_module_level=True)


@pytest.fixture(params=["sync", "gthread"])
def kind(request: pytest.FixtureRequest) -> str:
    """Every worker kind."""
    return str(request.param)


@pytest.fixture(params=["tcp", "unix"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[("sync", "tcp"), ("gthread", "unix")], ids="-".join)
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A kind and a transport: every one of each, as neither knows of the other. tests/faults has the other pairs."""
    kind, transport = request.param
    return kind, transport


@pytest.fixture
def make_server(request: pytest.FixtureRequest) -> Iterator[Callable[..., Server]]:
    """Servers that the test starts itself; at the end each is stopped, and must leave nothing behind."""
    servers: list[Server] = []
    request.node.stash[SERVERS] = servers

    def make(transport: str = "tcp") -> Server:
        server = Server(transport)
        servers.append(server)
        return server

    yield make

    problems = []
    for server in reversed(servers):
        try:
            if server.process is not None and not server.exited:
                server.stop()
            elif server.process is not None:
                server.assert_nothing_left()
        except AssertionError as error:
            problems.append(str(error))
        if left := server.kill_leftovers():
            problems.append(f"processes {left} were left behind and had to be killed")
        server.hang_up()
    if not problems:
        for server in servers:
            server.remove()
    assert not problems, "; ".join(problems)


@pytest.fixture
def serve(make_server: Callable[..., Server]) -> Callable[..., Server]:
    """serve(app, kind=..., transport=..., workers=..., options=..., config=...): a server whose workers are ready."""

    def start(
        app: str | None = CONTRACT,
        *,
        kind: str = "sync",
        transport: str = "tcp",
        workers: int = 2,
        threads: int = 4,
        options: Sequence[str] = (),
        config: str | None = None,
        files: dict[str, str] | None = None,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        prefix: Sequence[str] = (),
    ) -> Server:
        server = make_server(transport)
        for name, content in (files or {}).items():
            (server.home / name).write_text(content)
        if config is not None:
            path = server.home / "ostler.conf.py"
            path.write_text(config)
            options = ["--config", str(path), *options]
        server.start(
            app, kind=kind, workers=workers, threads=threads, options=options, env=env, cwd=cwd, prefix=prefix
        )
        server.wait_ready()
        return server

    return start


@pytest.fixture
def nginx() -> Iterator[Callable[[Address], Nginx]]:
    """nginx(address): an Nginx in front of the server at that address."""
    started: list[Nginx] = []

    def start(upstream: Address) -> Nginx:
        started.append(Nginx(upstream))
        return started[-1]

    yield start
    for proxy in started:
        proxy.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        shared = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Server)]
        for server in {id(server): server for server in [*shared, *item.stash.get(SERVERS, [])]}.values():
            report.sections.append((f"log of the server in {server.home}", server.log()[-20000:]))
    return report


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """figure(text): a measured line that the end of the run shows, also when all tests pass."""
    return request.config.stash.setdefault(FIGURES, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if lines := config.stash.get(FIGURES, []):
        terminalreporter.section("figures, as measured on this machine beside the tests themselves")
        for line in lines:
            terminalreporter.write_line(line)
