import os
import time

import tracing


def application(environ, start_response):
    tracing.get_provider().spans.put(environ["PATH_INFO"])
    time.sleep(0.02)  # so that requests at the same time meet both workers
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
