"""Counts and times what a shop does, by label, and adds up what was stored.

You will see:

    orders.placed {'country': 'DE'}: 2
    orders.placed {'country': 'NL'}: 3
    otel_tracker.function.duration {'code.function.name': '__main__.price', 'error.type': 'KeyError'}: 1
    otel_tracker.function.duration {'code.function.name': '__main__.price'}: 2
    pack.duration {}: 1
"""

import tempfile
from collections import Counter
from contextlib import suppress

from otel_tracker import configure, counter, open_store, shutdown, timed, traced

orders = counter("orders.placed")


@traced(metrics=True)
def price(sku: str) -> float:
    return {"A1": 9.99, "B2": 30.0}[sku]


with tempfile.TemporaryDirectory() as folder:
    configure(sqlite_path=f"{folder}/shop.db")
    orders.add(3, country="NL")
    orders.add(2, country="DE")
    with timed("pack.duration"):
        for sku in ("A1", "B2", "C3"):
            with suppress(KeyError):
                price(sku)
    shutdown()
    totals: Counter[str] = Counter()
    with open_store(f"{folder}/shop.db") as store:
        for point in store.metrics():
            totals[f"{point.name} {dict(sorted(point.attributes.items()))}"] += point.count or point.value
print(*(f"{name}: {total}" for name, total in sorted(totals.items())), sep="\n")
