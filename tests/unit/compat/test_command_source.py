"""compat/command_source.py: in a process of its own, for here a real Gunicorn may have been imported."""

import subprocess
import sys

AGENT = """
from ostler.compat import finder
finder.install()
from ostler.compat.application import Application
from ostler.compat.command_source import CommandSource
from ostler.config.settings import Settings
import sys

assert "gunicorn.app.base" not in sys.modules
plain = Application.wsgi
Application.wsgi = lambda application: ("wrapped", plain(application))
kind, application = CommandSource().load(Settings.defaults(wsgi_app="wsgiref.simple_server:demo_app"))
print(kind, application.__name__, sys.modules["gunicorn.app.base"].Application is Application)
"""


def test_the_application_passes_the_method_that_agents_wrap():
    done = subprocess.run([sys.executable, "-c", AGENT], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "wrapped demo_app True\n"
