"""ostler -c large_cookie.conf.py large_cookie:app"""

bind = "127.0.0.1:8000"
workers = 2
