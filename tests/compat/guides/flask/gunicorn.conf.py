import multiprocessing

bind = "0.0.0.0:8000"
workers = multiprocessing.cpu_count() * 2 + 1
threads = 2
worker_class = "gthread"

timeout = 120
graceful_timeout = 30
keepalive = 5

accesslog = "/var/log/gunicorn/access.log"
errorlog = "/var/log/gunicorn/error.log"
loglevel = "info"

max_requests = 1000
max_requests_jitter = 50

limit_request_line = 8190
limit_request_fields = 100
