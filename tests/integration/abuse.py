"""A server whose application runs what it is sent (tests/apps/abuse.py), of any worker kind."""

from collections.abc import Sequence

from tests.integration.client import Cut, Response
from tests.integration.harness import Server

APPLICATIONS = {"asgi": "abuse:asgi", "tornado": "abuse:tornado_application()"}


class Abused(Server):
    """See the module's text."""

    kind: str

    def begin(
        self, kind: str, workers: int = 1, options: Sequence[str] = (), prefix: Sequence[str] = (), ready: bool = True
    ) -> None:
        self.kind = kind
        app = APPLICATIONS.get(kind, "abuse:application")
        self.start(app, kind=kind, workers=workers, options=options, prefix=prefix)
        if ready:
            self.wait_ready()

    def run(self, code: str) -> Response:
        """What the application answers that has run `code`."""
        with self.client() as client:
            return client.request("POST", "/run", [("Connection", "close")], code.encode())

    def pid(self) -> int:
        """Of a worker, as it answers itself."""
        response = self.get("/")
        assert response.status == 200
        return int(response.body)

    def kill_by(self, code: str) -> None:
        """The worker that runs `code` leaves without an answer."""
        try:
            response = self.run(code)
        except (Cut, ConnectionError):
            return
        raise AssertionError(f"the worker lived to answer {response.status} {response.body!r}")
