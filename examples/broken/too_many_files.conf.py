"""ulimit -n 64; ostler -c too_many_files.conf.py too_many_files:app"""

workers = 1
