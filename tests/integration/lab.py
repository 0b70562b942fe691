"""One server whose configuration file is rewritten and reloaded again and again."""

import signal
import sys

from tests.integration.harness import Server, bind_value, free_port
from tests.integration.waiting import wait_until

# Imports nothing that is not there already: the interpreter's files may be hidden from the workers' user.
PLAIN = """
import os

def answer(start_response, text):
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text.encode()]

def application(environ, start_response):
    name, _, rest = environ["PATH_INFO"][1:].partition("/")
    match name:
        case "variable":
            return answer(start_response, os.environ.get(rest, "not set"))
        case "ids":
            return answer(start_response, f"{os.getuid()} {os.getgid()}")
        case "pid":
            return answer(start_response, str(os.getpid()))
        case "plain":
            return answer(start_response, "plain")
    import contract
    return contract.application(environ, start_response)

def other(environ, start_response):
    return answer(start_response, "other")

def made(global_conf, **local_conf):
    return application
"""
FILES = {
    "plain.py": PLAIN,
    "app.ini": "[app:main]\nuse = call:plain:made\n",
    "log.json": '{"disable_existing_loggers": false}',
    "log.ini": (
        "[loggers]\nkeys=root\n[handlers]\nkeys=console\n[formatters]\nkeys=\n"
        "[logger_root]\nlevel=INFO\nhandlers=console\n"
        "[handler_console]\nclass=StreamHandler\nargs=(sys.stderr,)\n"
    ),
}


class Lab:
    """One server and its file: `change` writes lines below those that are always there, sends HUP and waits."""

    def __init__(self, always: str = "workers = 1\nwsgi_app = 'plain:application'\n") -> None:
        self.server = Server()
        self.home = self.server.home
        self.home.chmod(0o755)
        (self.home / "elsewhere").mkdir()
        self.port = free_port()
        for name, content in FILES.items():
            (self.home / name).write_text(content)
        self.config = self.home / "ostler.conf.py"
        self.always = f"bind = 'BIND'\n{always}"

    def filled(self, text: str) -> str:
        text = text.replace("HOME", str(self.home)).replace("PORT", str(self.port))
        return text.replace("BIND", bind_value(self.server.address))

    def start(self) -> None:
        self.config.write_text(self.filled(self.always))
        self.server.launch([sys.executable, "-m", "ostler"], {}, self.home)
        self.server.wait_ready(1)

    def change(self, lines: str = "") -> int:
        """Write the file, reload, wait until no worker is an old one. Returns where the log was before."""
        self.config.write_text(self.filled(f"{self.always}{lines}\n"))
        since = self.server.log_end()
        before = set(self.server.worker_pids())
        self.server.send_signal(signal.SIGHUP)
        wait_until(lambda: self.replaced(before), "the workers are new ones", 20)
        return since

    def replaced(self, before: set[int]) -> bool:
        assert not self.server.exited, "the server ended"
        children = set(self.server.worker_pids())
        return bool(children) and not children & before

    def end(self) -> None:
        try:
            assert self.server.stop() == 0
        finally:
            self.server.kill_leftovers()
            self.server.hang_up()
            self.server.remove()
