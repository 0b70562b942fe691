import os

from prometheus_client import CollectorRegistry, multiprocess, start_http_server

bind = "127.0.0.1:8000"
workers = 2


def when_ready(server):
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    start_http_server(int(os.environ["METRICS_PORT"]), "127.0.0.1", registry=registry)


def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
