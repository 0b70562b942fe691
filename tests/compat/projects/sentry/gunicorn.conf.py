import faulthandler
import os
import sys
import threading
import traceback

bind = "127.0.0.1:1"
workers = 3
timeout = 120
pidfile = "shop.pid"
raw_env = ["SENTRY_ENVIRONMENT=production", "SENTRY_RELEASE=shop@1.2.3"]


def stacks():
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    code = []
    for ident, frame in sys._current_frames().items():
        code.append(f"\n# Thread: {names.get(ident, '')}({ident})")
        for file, line, function, text in traceback.extract_stack(frame):
            code.append(f'File: "{file}", line {line}, in {function}')
            if text:
                code.append(f"  {text.strip()}")
    return "\n".join(code)


def worker_int(worker):
    worker.log.info("worker received INT or QUIT signal")
    worker.log.debug(stacks())


def worker_abort(worker):
    worker.log.info("worker received SIGABRT signal")
    with open(f"aborted-{os.getpid()}", "w") as file:
        faulthandler.dump_traceback(file)
    worker.log.warning(stacks())
