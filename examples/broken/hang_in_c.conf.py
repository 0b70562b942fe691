"""ostler -c hang_in_c.conf.py hang_in_c:app"""

workers = 2
timeout = 5  # seconds without a sign of life; no other clock can see code that lets nobody else run
