"""ostler -c exit_in_request.conf.py exit_in_request:app"""

workers = 2
