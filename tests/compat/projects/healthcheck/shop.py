import logging


class ProbeFilter(logging.Filter):
    """By the message: what stands there when all atoms are filled in."""

    def filter(self, record):
        return "kube-probe" not in record.getMessage()


logging.getLogger("gunicorn.access").addFilter(ProbeFilter())


def application(environ, start_response):
    status = "503 Service Unavailable" if environ["QUERY_STRING"] == "ill" else "200 OK"
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"OK"]
