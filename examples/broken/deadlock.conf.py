"""ostler -c deadlock.conf.py deadlock:app"""

workers = 1
threads = 4
worker_class = "gthread"
timeout = 5  # of the process, which is well
request_timeout = 3  # of a request (Gunicorn has no such setting, and ignores it)
