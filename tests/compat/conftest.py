"""Fixtures of the compatibility tests: the servers of the integration tests, and the application that all use."""

from collections.abc import Callable, Sequence

import pytest

from tests.compat.command import APPLICATION, SCRIPT
from tests.integration.conftest import make_server, pytest_runtest_makereport, serve
from tests.integration.harness import Server, bind_value

__all__ = ["make_server", "pytest_runtest_makereport", "serve", "start"]


@pytest.fixture
def start(make_server: Callable[..., Server]) -> Callable[..., Server]:
    """start(*options, config=..., files=..., env=..., bind=...): the real command with little more than the case gives.

    HOME in options and texts is the server's directory. Waits for `ready` workers; with 0, for nothing.
    """

    def run(
        *options: str,
        config: str | None = None,
        files: dict[str, str] | None = None,
        env: dict[str, str] | None = None,
        app: str | None = "compat_app:application",
        bind: bool = True,
        ready: int = 1,
        prefix: Sequence[str] = (),
    ) -> Server:
        server = make_server()
        begin(server, *options, config=config, files=files, env=env, app=app, bind=bind, prefix=prefix)
        if ready:
            server.wait_ready(ready)
        return server

    return run


def begin(
    server: Server,
    *options: str,
    config: str | None = None,
    files: dict[str, str] | None = None,
    env: dict[str, str] | None = None,
    app: str | None = "compat_app:application",
    bind: bool = True,
    prefix: Sequence[str] = (),
) -> None:
    """Start `server` without waiting."""
    server.home.chmod(0o755)  # a worker may be another user
    texts = {"compat_app.py": APPLICATION, **(files or {})}
    if config is not None:
        texts["given.py"] = config
    for name, text in texts.items():
        path = server.home / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("HOME", str(server.home)))
    command = [*prefix, SCRIPT, *(["--bind", bind_value(server.address)] if bind else [])]
    command += [option.replace("HOME", str(server.home)) for option in options]
    if config is not None:
        command += ["--config", str(server.home / "given.py")]
    # setproctitle would write over the environment that /proc shows, by which the harness finds what was left behind.
    env = {"SPT_NOENV": "1", **(env or {})}
    given = {name: value.replace("HOME", str(server.home)) for name, value in env.items()}
    server.launch([*command, app] if app else command, given, server.home)
