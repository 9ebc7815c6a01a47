"""``python manage.py prepare``: makes the database and, with debugging on, two users to try things with."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.core.management.base import BaseCommand

# Name, whether staff. The password stands below for all to see, so these are made in development only.
USERS = (("ada", False), ("bob", False), ("grace", True))
PASSWORD = "for-development-only"


class Command(BaseCommand):
    help = "Migrates the database and, with DEBUG, adds the users ada, bob and grace (staff)."

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it; what is there already stays as it is."""
        call_command("migrate", verbosity=0)
        if settings.DEBUG:
            self.stdout.write(f"added users: {', '.join(_add_users()) or 'none, they are there'}")


def _add_users() -> list[str]:
    users = get_user_model().objects
    missing = [(name, is_staff) for name, is_staff in USERS if not users.filter(username=name).exists()]
    password = make_password(PASSWORD) if missing else ""  # once, because hashing takes its time on purpose
    for name, is_staff in missing:
        rights = {"is_staff": is_staff, "is_superuser": is_staff}
        users.create(username=name, email=f"{name}@example.org", password=password, **rights)
    return [name for name, _ in missing]
