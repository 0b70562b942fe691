"""ostler -c leak.conf.py leak:app"""

workers = 1
max_worker_memory = "120M"
trace_memory = True  # says which line has made what stays; costs time, so turn it off when the leak is found
