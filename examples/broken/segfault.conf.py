"""ostler -c segfault.conf.py segfault:app"""

workers = 2
