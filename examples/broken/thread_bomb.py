"""A shop that sends its mail "in the background": each order starts threads, which wait for what never comes.

    for order in $(seq 100); do curl -s localhost:8000/order; done

Each thread is small, and each one stays. Sooner or later the system gives no more of them.
"""

import queue
import threading

OUTBOX = queue.Queue()


def app(environ, start_response):
    if environ["PATH_INFO"] == "/order":
        for _ in range(20):
            start_mailer()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"thank you\n"]


def start_mailer():
    threading.Thread(target=send_mail, daemon=True).start()  # broken: a thread per order that never ends


def send_mail():
    while True:
        OUTBOX.get().send()
