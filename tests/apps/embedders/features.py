"""A feature server that embeds us as Feast's does: Uvicorn's worker, and functions as hooks, in master and worker.

It counts requests with prometheus_client's multiprocess mode, whose files `child_exit` puts in order, and makes its
tracer in `post_fork`, as OpenTelemetry's manual has it for servers that fork.

    features.py BIND    PROMETHEUS_MULTIPROC_DIR: a directory
"""

import os
import sys

from gunicorn.app.base import BaseApplication
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest, multiprocess

REQUESTS = Counter("feature_requests", "Requests.")
SERVING = Gauge("feature_serving", "Processes that serve.", multiprocess_mode="livesum")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    REQUESTS.inc()
    body = str(os.getpid()).encode()
    if scope["path"] == "/metrics":
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        body = generate_latest(registry)
    with trace.get_tracer("features").start_as_current_span("answer"):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


def post_fork(server, worker):
    server.log.info("Worker spawned (pid: %s)", worker.pid)
    provider = TracerProvider(resource=Resource.create({"service.name": "features", "worker": worker.pid}))
    exporter = ConsoleSpanExporter(
        formatter=lambda span: f"span={span.name} worker={span.resource.attributes['worker']}\n"
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def post_worker_init(worker):
    SERVING.set(1)


def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
    print(f"marked dead pid={worker.pid}", flush=True)


class FeatureServer(BaseApplication):
    def __init__(self, store, **options):
        self._app = store
        self._options = options
        super().__init__()

    def load_config(self):
        for key, value in self._options.items():
            if key.lower() in self.cfg.settings and value is not None:
                self.cfg.set(key.lower(), value)
        self.cfg.set("worker_class", "uvicorn_worker.UvicornWorker")
        self.cfg.set("post_fork", post_fork)
        self.cfg.set("post_worker_init", post_worker_init)
        self.cfg.set("child_exit", child_exit)

    def load(self):
        return self._app


if __name__ == "__main__":
    FeatureServer(app, bind=sys.argv[1], workers=2, keepalive=30, max_requests=0).run()
