"""A program that is its own server: `python embed.py`, then `curl localhost:8000`."""

import os

from gunicorn.app.base import BaseApplication


def application(environ, start_response):
    body = f"served by {os.getpid()}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


class Shop(BaseApplication):
    def load_config(self):
        self.cfg.set("bind", os.environ.get("SHOP_BIND", "127.0.0.1:8000"))
        self.cfg.set("workers", 2)

    def load(self):
        return application


if __name__ == "__main__":
    Shop().run()
