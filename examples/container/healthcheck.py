"""Exits with 0 when the server answers /healthz, and with 1 when it does not."""

import sys
from urllib.request import urlopen

try:
    with urlopen("http://127.0.0.1:8000/healthz", timeout=2) as response:
        sys.exit(0 if response.status == 200 else 1)
except OSError:
    sys.exit(1)
