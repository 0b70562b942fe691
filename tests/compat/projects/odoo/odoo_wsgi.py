# One file: what the application wants done first, the application, and the server's settings.
import os

import addons

addons.multi_process = True

conf = addons.configuration
conf["addons_path"] = "./addons"
conf["db_name"] = "inn"
name = "a name of the application"
env = {"lang": "de_DE"}


def application(environ, start_response):
    text = f"{os.getpid()} {addons.multi_process} {conf['db_name']} {env['lang']}"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text.encode()]


addons.load(conf)

bind = "127.0.0.1:8000"
pidfile = ".gunicorn.pid"
workers = 2
timeout = 240
max_requests = 2000
