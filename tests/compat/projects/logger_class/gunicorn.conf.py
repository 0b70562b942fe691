bind = "127.0.0.1:8000"
accesslog = "-"
access_log_format = "%(m)s %(U)s %(s)s size=%(size)s"
logger_class = "own_logger.OwnLogger"


def on_starting(server):
    server.log.info("logger derives from %s", type(server.log).__mro__[1].__module__)
