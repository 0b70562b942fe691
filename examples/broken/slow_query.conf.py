"""ostler -c slow_query.conf.py slow_query:app"""

workers = 2
timeout = 10
request_timeout = 3  # of a request (Gunicorn has no such setting, and ignores it)
