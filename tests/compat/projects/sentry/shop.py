import os
import time


def hang_for_ever():
    time.sleep(3600)


def application(environ, start_response):
    if environ["PATH_INFO"] == "/hang":
        hang_for_ever()
    body = f"{os.environ['SENTRY_ENVIRONMENT']} {os.environ['SENTRY_RELEASE']}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
