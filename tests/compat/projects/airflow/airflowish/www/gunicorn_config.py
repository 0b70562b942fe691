"""Read as python:airflowish.www.gunicorn_config; the monitor counts workers by the titles that this hook gives."""

import setproctitle

READY = "[ready] "


def post_worker_init(_):
    setproctitle.setproctitle(READY + setproctitle.getproctitle())


def on_starting(server):
    server.log.info("providers are loaded for %s", server.proc_name)
