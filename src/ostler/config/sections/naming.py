"""Chapter "Process naming": what `ps` and `top` show."""

from ostler.config.parse import read_text_if_any
from ostler.config.setting import ReloadEffect, Section, Setting, Support

SETTINGS = (
    Setting(
        name="proc_name",
        section=Section.NAMING,
        flags=("-n", "--name"),
        metavar="NAME",
        read=read_text_if_any,
        default=None,
        default_text="`default_proc_name`",
        reload=ReloadEffect.MASTER,
        doc=(
            "The name in the titles of the processes, which read `gunicorn: master [NAME]` and `gunicorn: worker "
            "[NAME]`. It needs the package setproctitle (`pip install ostler[setproctitle]`)."
        ),
    ),
    Setting(
        name="default_proc_name",
        section=Section.NAMING,
        read=read_text_if_any,
        default=None,
        default_text="APP, or the file of `paste`",
        reload=ReloadEffect.MASTER,
        support=Support.DIFFERS,
        note="an application that comes from `wsgi_app` names the processes too; there Gunicorn says `gunicorn`",
        doc="The name when `proc_name` is not set. For frameworks that start the server; set `proc_name` instead.",
    ),
)
