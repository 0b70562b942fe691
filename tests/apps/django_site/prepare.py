"""Makes the database with one administrator: python -m django_site.prepare (DJANGO_SITE_DIR says where)."""

import os

import django
from django.contrib.auth import get_user_model
from django.core.management import call_command

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_site.settings")
    django.setup()
    call_command("migrate", verbosity=0)
    get_user_model().objects.create_superuser("admin", "admin@example.org", "horse")
