"""A first configuration file. Run it with: ostler --config ostler.conf.py app:app

It is Python, and each name is a setting. Every name here means what it means to Gunicorn.
"""

bind = "127.0.0.1:8000"  # where to listen; "unix:/run/guestbook.sock" behind a proxy on the same machine
workers = 2  # processes; one or two for each core is a good start
worker_class = "gthread"  # or "sync": one request at a time in each worker
threads = 4  # requests that one worker runs at the same time

accesslog = "-"  # "-" is standard output
errorlog = "-"  # "-" is standard error
loglevel = "info"

timeout = 30  # seconds a request may take before its worker is replaced; the log then names the request
graceful_timeout = 30  # seconds that requests have to finish on a reload or a stop
max_requests = 10_000  # replace a worker after so many requests, which hides slow leaks
max_requests_jitter = 1_000  # but not all workers at the same moment
