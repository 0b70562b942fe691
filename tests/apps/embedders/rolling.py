"""An API server that embeds us in the shape of Airflow 3's: its own arbiter, logger, application and worker classes.

Its arbiter replaces all workers every now and then, a batch at a time, from `manage_workers`. Written after what such
servers do, not taken from one.

    rolling.py BIND WORKER_CLASS    ROLLING_EVERY_S, ROLLING_BATCH: its own configuration
"""

import logging
import os
import signal
import sys
import time
from typing import ClassVar

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

log = logging.getLogger("rolling")


class QuietLogger(Logger):
    """Leaves what is logged to the program's own handlers."""

    def setup(self, cfg):
        self.error_log.propagate = True
        self.access_log.propagate = True


class RollingArbiter(Arbiter):
    def __init__(self, app):
        super().__init__(app)
        self.every_s = float(os.environ.get("ROLLING_EVERY_S", "0"))
        self.batch = int(os.environ.get("ROLLING_BATCH", "1"))
        if self.batch > self.num_workers:
            log.warning("a batch of %d for %d workers", self.batch, self.num_workers)
            self.batch = self.num_workers
        self.last_at = time.monotonic()
        self.under_way = False
        self.old = set()

    def manage_workers(self):
        super().manage_workers()
        if not self.every_s:
            return
        if self.under_way:
            self.go_on()
        elif time.monotonic() - self.last_at >= self.every_s and self.WORKERS:
            self.under_way, self.old = True, set(self.WORKERS)
            log.info("refresh begins old=%s", sorted(self.old))
            self.go_on()

    def go_on(self):
        self.old &= set(self.WORKERS)
        if not self.old:
            self.under_way, self.last_at = False, time.monotonic()
            log.info("refresh complete")
            return
        there = len(self.WORKERS)
        for _ in range(min(self.batch, self.num_workers + self.batch - there)):
            self.spawn_worker()
        if there > self.num_workers:
            oldest = sorted((worker.age, pid) for pid, worker in self.WORKERS.items() if pid in self.old)
            for _, pid in oldest[: min(there - self.num_workers, self.batch)]:
                log.info("sends away pid=%d", pid)
                self.kill_worker(pid, signal.SIGTERM)
                self.old.discard(pid)


class RollingApplication(BaseApplication):
    def __init__(self, options):
        self.options = options
        self.application = None
        super().__init__()

    def load_config(self):
        for key, value in self.options.items():
            if key in self.cfg.settings and value is not None:
                self.cfg.set(key.lower(), value)
        arguments = self.cfg.parser().parse_args(self.cfg.get_cmd_args_from_env())
        for key, value in vars(arguments).items():
            if value is not None and key != "args":
                self.cfg.set(key.lower(), value)

    def load(self):
        if self.application is None:
            print(f"application loaded pid={os.getpid()}", flush=True)
            self.application = asgi if self.options["worker_class"].endswith("UvicornWorker") else wsgi
        return self.application

    def run(self):
        try:
            RollingArbiter(self).run()
        except RuntimeError:
            log.exception("cannot start")
            sys.exit(1)


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


def said_so(worker):
    logging.getLogger("gunicorn.error").info("told by a hook app=%s", type(worker.app).__name__)


try:
    from uvicorn.workers import UvicornWorker
except ImportError:
    pass
else:

    class QuietUvicornWorker(UvicornWorker):
        CONFIG_KWARGS: ClassVar = {**UvicornWorker.CONFIG_KWARGS, "log_config": None, "access_log": False}


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="own %(name)s: %(message)s", stream=sys.stdout)
    RollingApplication(
        {
            "bind": sys.argv[1],
            "workers": 2,
            "worker_class": sys.argv[2],
            "timeout": 30,
            "graceful_timeout": 30,
            "keepalive": 30,
            "loglevel": "info",
            "logger_class": "rolling.QuietLogger",
            "preload_app": True,
            "post_worker_init": said_so,
            "forwarded_allow_ips": "",
        }
    ).run()
