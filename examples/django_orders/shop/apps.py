"""Tells Django of the shop."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self) -> None:
        """Connect the receivers."""
        from shop import receivers  # noqa: F401 - importing it connects them
