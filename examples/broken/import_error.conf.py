"""ostler -c import_error.conf.py import_error:app"""

workers = 2
pidfile = "shop.pid"
raw_env = ["PAYMENTS=off"]  # say "on", and reload
