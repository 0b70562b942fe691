"""`python -m ostler` is the `ostler` command. As the PID 1 of a container it may be told to stop while its modules are
imported, a quarter of a second: so it listens first.
"""

import sys

from ostler.process.pid_one import heed_stops

heed_stops()

from ostler.cli import main  # noqa: E402  see above

if __name__ == "__main__":
    sys.exit(main())
