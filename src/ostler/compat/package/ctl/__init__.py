"""`gunicorn.ctl`: the control client and its protocol, for programs that import Gunicorn's."""
