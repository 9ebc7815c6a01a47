"""What every program of the matrix does: a traced function, which tracks an event."""

from typing import TypeVar

from otel_tracker import traced, track

T = TypeVar("T")


@traced
def price(sku: T) -> T:
    track("price.asked", sku=str(sku))
    return sku
