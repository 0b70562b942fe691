"""A program that embeds the server as Gunicorn's manual has it: options in a dictionary, the application at hand.

The options are read again at each load_config, from the JSON file that is named on the command line.
"""

import json
import os
import sys

import gunicorn.app.base


def number_of_the_process(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


class StandaloneApplication(gunicorn.app.base.BaseApplication):
    def __init__(self, app, path):
        self.path = path
        self.application = app
        self.loaded_in = []
        super().__init__()

    def load_config(self):
        with open(self.path) as file:
            options = json.load(file)
        self.flavour = options.pop("flavour")
        for key, value in options.items():
            if key in self.cfg.settings and value is not None:
                self.cfg.set(key.lower(), value)
        self.cfg.set("post_worker_init", self.tell)

    def tell(self, worker):
        assert worker.app.path == self.path
        assert worker.app.wsgi() is self.application
        print(f"flavour={self.flavour} pid={os.getpid()} loaded_in={self.loaded_in}", flush=True)

    def load(self):
        self.loaded_in.append(os.getpid())
        return self.application


if __name__ == "__main__":
    StandaloneApplication(number_of_the_process, sys.argv[1]).run()
    print("unreachable: run() ends the process", flush=True)
