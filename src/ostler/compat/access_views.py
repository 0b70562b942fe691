"""A finished request as Gunicorn's Logger.access() gets it: req and resp.

Rules for editing: names and shapes are Gunicorn's; nothing is made up but what `atoms` needs of a request that was
refused before it had an environ.
"""

from ostler.lifecycle import RequestFinished


class AccessRequest:
    """req."""

    def __init__(self, event: RequestFinished) -> None:
        path, _, query = event.target.partition("?")
        basics = {
            "REQUEST_METHOD": event.method,
            "RAW_URI": event.target,
            "SERVER_PROTOCOL": event.protocol,
            "PATH_INFO": path,
            "QUERY_STRING": query,
        }
        # a request that was refused has no environ, and `atoms` reads these of every one
        self.environ = event.environ if event.environ.get("RAW_URI") else basics | dict(event.environ)
        self.headers = [(name.upper(), value) for name, value in event.request_fields]
        self.method, self.uri, self.path, self.query = event.method, event.target, path, query
        self.version = (1, 0 if event.protocol == "HTTP/1.0" else 1)
        address, port = event.environ.get("REMOTE_ADDR", ""), str(event.environ.get("REMOTE_PORT", ""))
        self.peer_addr = self.remote_addr = (address, int(port)) if port.isdecimal() else address


class AccessResponse:
    """resp."""

    def __init__(self, event: RequestFinished) -> None:
        self.event = event
        self.status = event.status or None
        self.status_code = int(event.status[:3]) if event.status else None
        self.headers = list(event.response_fields)
        self.headers_sent = event.sent is not None
        self.sent = event.sent or 0
        lengths = [value for name, value in event.response_fields if name.lower() == "content-length"]
        self.response_length = int(lengths[0]) if lengths else None
