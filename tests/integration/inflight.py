"""One long request on its way, for tests of what happens around it."""

import threading

from tests.integration.client import Cut, Response
from tests.integration.harness import Server
from tests.integration.waiting import wait_until


class InFlight:
    """GET /sleep/MS in a thread. The application has it when the constructor returns."""

    def __init__(self, server: Server, ms: int) -> None:
        self.response: Response | None = None
        self.error: Exception | None = None
        self.server = server
        self.thread = threading.Thread(target=self.run, args=(ms,))
        before = len(server.notes("sleeping"))
        self.thread.start()
        wait_until(lambda: len(server.notes("sleeping")) > before, "the application sleeps")

    def run(self, ms: int) -> None:
        try:
            with self.server.client(timeout_s=30) as client:
                self.response = client.get(f"/sleep/{ms}")
        except (Cut, OSError) as error:
            self.error = error

    def join(self) -> Response:
        self.thread.join(30)
        assert self.response is not None, repr(self.error)
        return self.response
