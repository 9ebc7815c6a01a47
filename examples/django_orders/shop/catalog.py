"""The list of products, which every visitor sees, from the cache."""

from __future__ import annotations

from typing import Any

from django.core.cache import cache

from otel_tracker import span, traced
from shop.models import Product

CACHE_KEY = "shop.products"
CACHE_TIMEOUT_S = 60


@traced
def products() -> list[dict[str, Any]]:
    """All products; at most a minute old, and in this process no older than the last order."""
    found: list[dict[str, Any]] | None = cache.get(CACHE_KEY)
    if found is None:
        with span("load products"):
            found = list(Product.objects.values("pk", "name", "price_cents", "stock"))
        cache.set(CACHE_KEY, found, CACHE_TIMEOUT_S)
    return found


def forget() -> None:
    """Read them again the next time."""
    cache.delete(CACHE_KEY)
