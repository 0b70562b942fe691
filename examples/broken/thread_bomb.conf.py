"""ulimit -v 2000000; ostler -c thread_bomb.conf.py thread_bomb:app"""

workers = 1
worker_class = "gthread"
threads = 4
