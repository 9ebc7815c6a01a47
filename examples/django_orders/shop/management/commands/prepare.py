"""``python manage.py prepare``: makes the database and, with debugging on, two users to try things with."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
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
            added = [name for name, is_staff in USERS if _add_user(name, is_staff)]
            self.stdout.write(f"added users: {', '.join(added) or 'none, they are there'}")


def _add_user(name: str, is_staff: bool) -> bool:
    users = get_user_model().objects
    if users.filter(username=name).exists():
        return False
    add = users.create_superuser if is_staff else users.create_user
    add(name, f"{name}@example.org", PASSWORD)
    return True
