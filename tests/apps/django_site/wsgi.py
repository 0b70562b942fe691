"""The WSGI application. StaticFilesHandler serves the static files, as no web server stands in front in most tests."""

import os

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_site.settings")
application = StaticFilesHandler(get_wsgi_application())
