import os

_apps = {}


def create_app(testing):
    def application(environ, start_response):
        body = f"{os.getpid()} {testing}".encode()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    return application


def cached_app(testing=False):
    if not _apps:
        _apps["app"] = create_app(testing)
    return _apps["app"]
