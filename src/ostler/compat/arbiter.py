"""`gunicorn.arbiter`: the class of the hooks' server, and what a program that embeds the server runs.

    Arbiter(app).run()    the process becomes our master, with the settings of app.cfg and the application of app.wsgi()

What a class of one's own may override, and what it can ask for, is in server_view.py.

Rules for editing: what is the server's goes there; here is only how a program gives its application away.
"""

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from ostler.app.loader import apply_paths
from ostler.app.source import Source
from ostler.compat import finder
from ostler.compat.embedding import Embedding
from ostler.compat.hook_views import GunicornViews
from ostler.compat.server_view import ServerView
from ostler.errors import OstlerError
from ostler.observe.hooks import MasterFacts
from ostler.process.reexec import ReadyLine, StartContext, start_context
from ostler.roles.launch import Launch, run_master


def start_of(context: StartContext) -> dict[Any, Any]:
    """START_CTX."""
    return {0: context.program, "args": list(context.argv), "cwd": context.directory}


class Arbiter(ServerView):
    def __init__(self, app: Any) -> None:
        """app: with `cfg` and `wsgi()`, as gunicorn.app.base.BaseApplication has them. Raises ConfigError."""
        self._environ = dict(os.environ)
        self._context = start_context(self._environ)
        super().__init__(start_of(self._context))
        self.setup(app)

    @classmethod
    def of_command(cls, context: StartContext) -> "Arbiter":
        """That of a server which our command starts."""
        made = cls.__new__(cls)
        ServerView.__init__(made, start_of(context))
        return made

    def setup(self, app: Any) -> None:
        """Take the application and its cfg. Raises ConfigError."""
        app.cfg.validate()
        settings = app.cfg.of_settings
        self._embedding = Embedding(app, self._context.directory)
        self.show(MasterFacts(os.getpid(), settings, settings.workers, (), None), None, lambda *_: app.cfg)

    def run(self) -> NoReturn:
        """Serve until told to stop; then SystemExit with the exit status, after a line on stderr if nothing served."""
        raise SystemExit(self._run(self._embedding.load_settings, self._embedding.pin, self._embedding.app))

    def _run(self, load_settings: Callable[[], Any], pin_source: Callable[[], Source], app: Any) -> int:
        finder.install()  # whatever the program itself has imported: workers load code that asks for `gunicorn`
        old_master = ReadyLine.of(os.environ, os.getppid())
        try:
            settings = load_settings()
            apply_paths(settings)
            views = GunicornViews(self._environ, self._context, self, app)
            return run_master(Launch(load_settings, settings, views, self._context, self._environ, pin_source))
        except OstlerError as error:
            sys.stderr.write(f"Error: {error}\n")
            old_master.failed(str(error))
            return error.exit_status
