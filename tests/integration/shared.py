"""One server for many tests of a module that only ask, as starting one for each would take longer than all of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from tests.integration.harness import Server

Made = TypeVar("Made", bound=Server)


@contextmanager
def running(
    make: type[Made],
    *,
    kind: str,
    workers: int = 1,
    transport: str = "tcp",
    options: Sequence[str] = (),
    config: str = "",
    app: str | None = "contract:application",
    env: dict[str, str] | None = None,
    stops: bool = True,
) -> Iterator[Made]:
    """A server whose workers are ready; it must stop with status 0 and leave nothing. HOME stands for its directory.

    stops: False when the block has ended it already.
    """
    server = make(transport)
    try:
        path = server.home / "ostler.conf.py"
        path.write_text(config.replace("HOME", str(server.home)))
        options = [option.replace("HOME", str(server.home)) for option in options]
        server.start(app, kind=kind, workers=workers, options=["--config", str(path), *options], env=env)
        server.wait_ready()
        yield server
        if stops:
            assert server.stop() == 0, server.log()
        server.assert_nothing_left()
        assert "defect" not in server.log(), server.log()
    finally:
        server.kill_leftovers()
        server.hang_up()
        server.remove()
