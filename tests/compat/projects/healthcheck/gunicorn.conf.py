import logging

bind = "127.0.0.1:8000"
accesslog = "-"


class HealthCheckFilter(logging.Filter):
    def __init__(self, path):
        super().__init__()
        self.path = path

    def filter(self, record):
        return not (record.args["U"] == self.path and record.args["s"] == "200")


def on_starting(server):
    server.log.access_log.addFilter(HealthCheckFilter("/health-of-on-starting"))


def when_ready(server):
    server.log.access_log.addFilter(HealthCheckFilter("/health-of-when-ready"))


def post_fork(server, worker):
    logging.getLogger("gunicorn.access").addFilter(HealthCheckFilter("/health-of-post-fork"))
