import os
import time

from prometheus_client import Counter, Gauge

SOLD = Counter("sold", "Things that were sold")
SERVING = Gauge("serving", "Workers that serve", multiprocess_mode="livesum")
SERVING.set(1)


def application(environ, start_response):
    SOLD.inc()
    time.sleep(0.02)  # so that requests at the same time meet both workers
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
