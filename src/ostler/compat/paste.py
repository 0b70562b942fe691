"""The server runner of PasteDeploy: `pserve production.ini` with a section

    [server:main]
    use = egg:ostler#main
    host = 127.0.0.1
    port = 8000
    workers = 4

The section's names are settings, and win over every other source, as in Gunicorn. There is no command line of ours. The
application was loaded by the program that calls us, so a reload (HUP) renews settings and workers but not its code.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from ostler.app.loader import apply_paths
from ostler.compat import finder
from ostler.compat.arbiter import Arbiter
from ostler.compat.hook_views import GunicornViews
from ostler.config.report import describe_settings
from ostler.config.sources import ServerSection, load_settings
from ostler.config.usercode import ConfigFileError
from ostler.errors import OstlerError
from ostler.process.reexec import start_context
from ostler.roles.launch import Launch, run_master

Application = Callable[..., Any]

# Module state, because the workers find their application by MODULE:NAME and inherit this module with its contents.
_served: list[Application] = []


def application() -> Application:
    """The application that is being served: what the workers' APP, a factory, names."""
    return _served[-1]


def serve(app: Application, global_conf: dict[str, str], **local_conf: str) -> NoReturn:
    """Serve `app` until told to stop; then SystemExit with the status of the `ostler` command.

    global_conf: PasteDeploy's, of which `__file__` is used. local_conf: the text of the section.
    """
    finder.install()
    _served.append(app)
    environ = dict(os.environ)
    values = {name: text for name, text in local_conf.items() if text is not None}
    section = ServerSection(os.path.abspath(global_conf["__file__"]), values, f"{__name__}:application()")
    try:
        context = start_context(environ)
        read_again = partial(load_settings, (), environ, context.directory, section)
        settings = read_again()
        apply_paths(settings)
        if settings.print_config:
            sys.stdout.write(describe_settings(settings))
        if settings.print_config or settings.check_config:
            sys.stderr.write("".join(f"{notice}\n" for notice in settings.notices))
            status = 0
        else:
            views = GunicornViews(environ, context, Arbiter.of_command(context))
            status = run_master(Launch(read_again, settings, views, context, environ))
    except OstlerError as error:
        traceback_text = error.traceback_text if isinstance(error, ConfigFileError) else ""
        sys.stderr.write(f"{traceback_text}Error: {error}\n")
        status = error.exit_status
    finally:
        _served.pop()
    raise SystemExit(status)
