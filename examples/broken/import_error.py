"""A shop whose configuration turns payments on, on a machine where the package for them was never installed.

    sed -i 's/PAYMENTS=off/PAYMENTS=on/' import_error.conf.py; kill -HUP $(cat shop.pid)

What serves already goes on; what is to come cannot start.
"""

import os

if os.environ["PAYMENTS"] == "on":
    import payments_gateway  # broken: not installed on this machine


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [payments_gateway.offer() if os.environ["PAYMENTS"] == "on" else b"cash only\n"]
