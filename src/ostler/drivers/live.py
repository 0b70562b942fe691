"""One running exchange, for code in the reactor's own thread: what it may do, and what it hears.

Nothing here waits. Who needs more of the body calls `want`, who finds no room stops; both go on when `changed` is
called. With `upgrade` the exchange becomes a pipe of bytes (WebSocket): what arrives goes to a callback.

    read -> NEED_DATA -> want ... changed -> read         send -> False ... changed -> has_room

Rules for editing: `changed` is called from within the reactor's turn, and may call anything of this object. After
`finish` the client belongs to the reactor again, and nothing here touches it.
"""

from collections.abc import Callable
from math import inf
from time import monotonic as _monotonic
from typing import Final

from ostler.app.wsgi_input import BodyIncomplete, ClientGone
from ostler.drivers.client import BODY_READ_BYTES, Client
from ostler.drivers.poller import GONE, LEFT
from ostler.http.connection import NEED_DATA, End, NeedData
from ostler.http.errors import HttpError
from ostler.http.h1_exchange import H1Exchange

ROOM_BYTES: Final = 64 * 1024
"""With more than this waiting for the client, whoever produces should wait."""

_PIPE_READ_BYTES: Final = 64 * 1024
"""Of an upgraded connection so much is looked at in one turn: 10,000 pings take 25 ms, and others wait meanwhile."""


def _nobody() -> None:
    """Nobody listens."""


class Live:
    """See the module's text. Made by `Hosted` for each exchange."""

    __slots__ = (
        "_ending",
        "_hear",
        "_late",
        "_settle",
        "_waited_s",
        "_wanted_at",
        "changed",
        "client",
        "draining",
        "exchange",
        "finished",
        "left",
        "row",
    )

    never: Final = inf

    def __init__(self, client: Client, row: int, settle: Callable[["Live"], object]) -> None:
        """`settle` takes the client back."""
        exchange = client.exchange
        assert exchange is not None
        self.client = client
        self.exchange: H1Exchange = exchange
        self.row = row
        """Of the scoreboard page; -1: all are taken."""
        self.changed: Callable[[], object] = _nobody
        """Called when the body came, room was made, the client left, or the drain began."""
        self.left = client.left
        """The client has closed its connection, or at least its sending side; or the connection broke."""
        self.draining = False
        """The worker leaves: a response without an end should end now."""
        self.finished = False
        self._settle = settle
        self._hear: Callable[[bytes], object] | None = None
        self._ending = False
        """`hang_up` was called."""
        self._late: HttpError | None = None
        self._wanted_at = 0.0
        self._waited_s = 0.0

    # -- the request's body ----------------------------------------------------------------------------------

    def read(self, size: int = 65536) -> bytes | NeedData | End:
        """As `Exchange.read`.

        Raises:
            BodyIncomplete: the body broke off, or came too slowly (408).
        """
        if self._late is not None:
            raise BodyIncomplete(self._late)
        try:
            data = self.exchange.read(size)
        except HttpError as error:
            raise BodyIncomplete(error) from error
        if data is not NEED_DATA:
            self._listen()
        return data

    def want(self) -> None:
        """A read came back with NEED_DATA, and more is waited for: under a deadline from now on.

        Raises:
            ClientGone: the transport failed.
        """
        client = self.client
        pieces = client.connection.data_to_send()  # 100 Continue
        if pieces:
            client.transport.send(pieces)
        self._listen()
        if not self._wanted_at:
            self._wanted_at = now = _monotonic()
            patience = client.timeouts.streamed_body
            client.deadline = now - self._waited_s + patience.deadline(0.0, client.came, self._waited_s)

    def _listen(self) -> None:
        client = self.client
        if client.connection.wants_data and not client.transport.gone and not client.left:
            with client.transport.lock:
                client.transport.listen()

    # -- the response ----------------------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether more may be produced; `changed` is called when it becomes true."""
        transport = self.client.transport
        return not transport.lent or transport.queued <= ROOM_BYTES

    def send(self) -> bool:
        """Bring what the exchange has queued to the kernel, or keep it for the client; whether there is room for more.

        Raises:
            ClientGone: the transport failed, or the client took nothing within the write deadline.
        """
        client = self.client
        return client.transport.send(client.connection.data_to_send()) or self.has_room

    def finish(self) -> None:
        """The exchange is over: the client's next request may begin. Once; never raises. An upgraded one is closed."""
        if self.finished:
            return
        self.finished = True
        self.changed = _nobody
        self._hear = None
        self.client.live = None
        if not self.exchange.finished:
            self.exchange.abort()
        self._settle(self)

    # -- after an upgrade ------------------------------------------------------------------------------------

    def upgrade(self, hear: Callable[[bytes], object]) -> None:
        """A 101 was started: send it. From now on `hear` gets what the client sends, and b"" when that has ended.

        Raises:
            ClientGone: the transport failed.
        """
        self._hear = hear
        self.send()
        unread = self._take_unread()
        if unread:
            hear(unread)
        self.resume()

    def _take_unread(self) -> bytes:
        received = self.client.connection.received
        return received.take(len(received))

    def write(self, data: bytes) -> bool:
        """Upgraded: send; whether there is room for more.

        Raises:
            ClientGone: as `send`; or the exchange is over.
        """
        if self.finished:
            raise ClientGone("the exchange is over")
        return self.client.transport.send([data]) or self.has_room

    def pause(self) -> None:
        """Upgraded: leave what the client sends in the kernel. `left` is told all the same, if the system says so."""
        transport = self.client.transport
        if self._is_open:
            with transport.lock:
                if self.left:
                    transport.stop_listening()
                else:
                    transport.listen_for_end()

    def resume(self) -> None:
        """Upgraded: hear the client again."""
        transport = self.client.transport
        if self._is_open:
            with transport.lock:
                transport.listen()

    def hang_up(self) -> None:
        """Upgraded: nothing more is written or heard; the client sees the end behind all that was. Never raises."""
        transport = self.client.transport
        if not (transport.gone or self.finished or self._ending):
            self._ending = True
            with transport.lock:
                transport.stop_listening()
            self._hang_up_if_sent()

    def _hang_up_if_sent(self) -> None:
        transport = self.client.transport
        if self._ending and not (transport.lent or transport.gone):
            transport.hang_up()

    @property
    def _is_open(self) -> bool:
        """Upgraded: more may come from the client, and be of interest."""
        client = self.client
        return not (client.transport.gone or client.left or self.finished or self._ending)

    # -- what the reactor reports (client.Attendant) ---------------------------------------------------------

    def on_event(self, event: int) -> None:
        """READ or GONE; LEFT while paused."""
        client = self.client
        transport = client.transport
        if (event & GONE and client.left) or transport.gone:  # known, and reported for as long as it is watched
            with transport.lock:
                transport.break_off()
            self._notice_left()
        elif event & (LEFT | GONE) == LEFT:
            with transport.lock:
                transport.stop_listening()
            self._notice_left()
        elif self._hear is not None:
            self._read_pipe(self._hear)
        elif self.exchange.body_left() is None:
            client.overhear(event)
            if client.left or client.transport.gone:
                self._notice_left()
        else:
            self._read_body()

    def on_room(self) -> None:
        """Some of what waited for the client was sent."""
        self._hang_up_if_sent()
        if self.has_room:
            self.changed()

    def on_late(self) -> None:
        """What was wanted of the body did not come in time."""
        self.client.deadline = inf
        self._late = HttpError(408, "the body did not arrive in time, or too slowly for an application to wait")
        self.changed()

    def on_gone(self) -> None:
        """The transport failed."""
        self._notice_left()
        if self._hear is not None:
            self._hear(b"")

    def begin_drain(self) -> None:
        """The worker leaves."""
        self.draining = True
        self.changed()

    def _notice_left(self) -> None:
        self.left = True
        self.changed()

    def _read_body(self) -> None:
        client = self.client
        transport, connection = client.transport, client.connection
        try:
            data = transport.stream.recv(BODY_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            with transport.lock:
                transport.break_off()
            connection.receive(b"")
            self._notice_left()
            return
        client.came += len(data)
        client.left = not data
        connection.receive(data)
        if self._wanted_at:
            self._waited_s += _monotonic() - self._wanted_at
            self._wanted_at = 0.0
            client.deadline = inf
        if client.left or not connection.wants_data:
            with transport.lock:
                transport.stop_listening()
        if client.left:
            self.left = True
        self.changed()

    def _read_pipe(self, hear: Callable[[bytes], object]) -> None:
        client = self.client
        transport = client.transport
        try:
            data = transport.stream.recv(_PIPE_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            with transport.lock:
                transport.break_off()
            data = b""
        client.came += len(data)
        if not data:
            client.left = self.left = True
            with transport.lock:
                transport.stop_listening()
        hear(data)
        if not data:
            self.changed()
