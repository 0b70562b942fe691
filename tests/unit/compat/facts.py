"""Facts of a server that never ran, for the tests of what is made of them."""

import logging
import os
import socket

from ostler.compat.hook_views import GunicornViews
from ostler.config.address import TcpAddress, UnixAddress
from ostler.config.settings import Settings
from ostler.observe.hooks import MasterFacts, RequestFacts, WorkerFacts
from ostler.observe.scoreboard import Scoreboard


class Socket:
    family = socket.AF_INET

    def fileno(self):
        return 7


class Listener:
    def __init__(self, name, address):
        self.name, self.address, self.socket = name, address, Socket()


LISTENERS = (
    Listener("http://127.0.0.1:8000", TcpAddress("127.0.0.1", 8000)),
    Listener("unix:/run/s", UnixAddress("/run/s")),
)
LOG = logging.getLogger("the log of a test")


def settings(**changes):
    values = {"bind": (TcpAddress("::1", 80), UnixAddress("/run/s")), "timeout": 31, "wsgi_app": "m:app"}
    return Settings.defaults(**(values | changes))


def worker_facts(age=5, **changes):
    values = {"settings": settings(), "listeners": LISTENERS, "page": Scoreboard(1, 1).page(0), "log": LOG}
    return WorkerFacts(age=age, ppid=10, **(values | changes))


def views_and_master(pid=10, **changes):
    """pid: 10 is nobody's that a test may signal."""
    views = GunicornViews({"GUNICORN_CMD_ARGS": "-w 3 -n 'a b'", "PWD": os.getcwd()})
    values = {"settings": settings(), "num_workers": 3, "listeners": LISTENERS, "log": LOG}
    master = MasterFacts(pid=pid, **(values | changes))
    views.introduce(master)
    return views, master


def request(**changes):
    values = {
        "method": "POST", "target": "/a%20b?x=1", "path": "/a%20b", "query": "x=1",
        "fields": [("host", "h"), ("x-id", "1"), ("x-id", "2")], "minor": 1, "peer": ("192.0.2.7", 5000),
        "scheme": "https",
    }  # fmt: skip
    return RequestFacts(**(values | changes))
