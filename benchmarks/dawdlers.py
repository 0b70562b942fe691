"""A process of slow clients: thousands of connections, one epoll. Started by slow_clients.py; may be run by hand.

    header   sends a request's head a byte at a time and never comes to its end (Slowloris)
    body     announces a body of 1 MB and sends it a byte at a time (R.U.D.Y.)
    reader   asks for 1 MB with a tiny receive buffer and reads 1 KB at a time (Slow Read)

Each client takes one step in `pace` seconds; their steps are spread evenly over that time. A client that the server
cuts off comes back at its next step, as attackers do. It says `ready` on its standard output when all have connected
and sent what they begin with (or 10 s have passed), and what happened, as JSON, when its standard input ends.
"""

import argparse
import json
import os
import select
import socket
import sys
import time
from dataclasses import asdict, dataclass

from servers import allow_many_files

OPENINGS = {
    "header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "body": b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n",
    "reader": b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n",
}
READ_BYTES = 1024
RECEIVE_BUFFER = 4096
READY_S = 10.0


@dataclass
class Tally:
    opened: int = 0  # connections that came about
    answered: int = 0  # of these, with at least one byte of a response
    cut: int = 0  # ended by the server
    refused: int = 0  # never came about


class Dawdler:
    """One slow client, and the connections that it has one after the other."""

    def __init__(self, kind: str, port: int, tally: Tally, poller: select.epoll) -> None:
        self.kind = kind
        self.address = ("127.0.0.1", port)
        self.tally = tally
        self.poller = poller
        self.sock: socket.socket | None = None
        self.began = False
        self.heard = False

    def connect(self) -> int:
        """Begin a connection; its descriptor."""
        self.sock = sock = socket.socket()
        if self.kind == "reader":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self.began = self.heard = False
        sock.connect_ex(self.address)
        self.poller.register(sock, select.EPOLLOUT)
        return sock.fileno()

    def on_event(self) -> None:
        """The connection came about, or (all but readers) the server answered or cut it."""
        assert self.sock is not None
        if self.began:
            self._read(65536)
            return
        try:
            self.sock.send(OPENINGS[self.kind])
        except OSError:
            self.tally.refused += 1
            self._close()
            return
        self.began = True
        self.tally.opened += 1
        self.poller.modify(self.sock, 0 if self.kind == "reader" else select.EPOLLIN)

    def step(self) -> int | None:
        """What it does once in `pace` seconds. A descriptor: it had to connect anew."""
        if self.sock is None:
            return self.connect()
        if not self.began:
            return None
        if self.kind == "reader":
            self._read(READ_BYTES)
            return None
        try:
            self.sock.send(b"a")
        except BlockingIOError:
            pass
        except OSError:
            self.tally.cut += 1
            self._close()
        return None

    def _read(self, size: int) -> None:
        assert self.sock is not None
        try:
            data = self.sock.recv(size)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data and not self.heard:
            self.heard = True
            self.tally.answered += 1
        if not data:
            self.tally.cut += 1
            self._close()

    def _close(self) -> None:
        assert self.sock is not None
        self.sock.close()
        self.sock = None


def run(kind: str, count: int, port: int, pace: float, per_s: float) -> Tally:
    """Dawdle until standard input ends. per_s: how many connect in a second; 0: all at once."""
    tally = Tally()
    poller = select.epoll()
    poller.register(sys.stdin, select.EPOLLIN)
    everybody = [Dawdler(kind, port, tally, poller) for _ in range(count)]
    by_fd: dict[int, Dawdler] = {}
    started = time.monotonic()
    connected, steps, said = 0, 0, False
    while True:
        for fd, _ in poller.poll(0.005):
            if fd == sys.stdin.fileno():
                if not os.read(fd, 1):
                    return tally
            elif by_fd[fd].sock is not None:
                by_fd[fd].on_event()
        now = time.monotonic() - started
        wanted = min(count, int(now * per_s)) if per_s else count
        for dawdler in everybody[connected:wanted]:
            by_fd[dawdler.connect()] = dawdler
        connected = max(connected, wanted)
        if not said and connected == count and (tally.opened >= count or now > count / (per_s or count) + READY_S):
            said = True
            print("ready", flush=True)
        due = int(now * count / pace)
        for number in range(max(steps, due - count), due):
            dawdler = everybody[number % count]
            if number % count < connected and (fresh := dawdler.step()) is not None:
                by_fd[fresh] = dawdler
        steps = due


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(OPENINGS))
    parser.add_argument("count", type=int)
    parser.add_argument("port", type=int)
    parser.add_argument("--pace", type=float, default=5.0, metavar="SECONDS", help="between two steps of a client")
    parser.add_argument("--per-second", type=float, default=0, help="how many connect in a second; 0: all at once")
    arguments = parser.parse_args()
    allow_many_files()
    tally = run(arguments.kind, arguments.count, arguments.port, arguments.pace, arguments.per_second)
    print(json.dumps(asdict(tally)), flush=True)


if __name__ == "__main__":
    main()
