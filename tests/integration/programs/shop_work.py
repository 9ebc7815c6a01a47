"""What every program of the matrix does: a traced function, which tracks an event and counts."""

from typing import TypeVar

from otel_tracker import counter, traced, track

T = TypeVar("T")


@traced
def price(sku: T) -> T:
    track("price.asked", sku=str(sku))
    counter("prices.asked").add(1, sku=str(sku)[-2:])  # labels are to be few
    return sku
