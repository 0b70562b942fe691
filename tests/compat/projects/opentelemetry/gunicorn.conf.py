import tracing

bind = "127.0.0.1:8000"
workers = 2
worker_class = "sync"


def post_fork(server, worker):
    server.log.info("Worker spawned (pid: %s)", worker.pid)
    tracing.set_provider(tracing.BatchProvider("shop"))
