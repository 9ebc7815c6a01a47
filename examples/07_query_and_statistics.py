"""Asks a store: how often, how many failed, how long, and which ones.

You will see:

    50 executions, 90.0 % succeeded
    p50 <= p95 <= max: True
    the newest that failed: {'number': 40}
    page by page: 20, 20, 10
"""

import tempfile
from contextlib import suppress

from otel_tracker import configure, open_store, shutdown, traced


@traced
def work(number: int) -> None:
    if number % 10 == 0:
        raise ValueError(number)


with tempfile.TemporaryDirectory() as folder:
    configure(sqlite_path=f"{folder}/traces.db")
    for number in range(50):
        with suppress(ValueError):
            work(number)
    shutdown()
    with open_store(f"{folder}/traces.db") as store:
        statistics = store.get_statistics("work")
        print(f"{statistics.total} executions, {statistics.success_rate} % succeeded")
        print("p50 <= p95 <= max:", statistics.p50_ms <= statistics.p95_ms <= statistics.max_ms)
        print("the newest that failed:", dict(next(store.query_executions("work", status="failed")).args))
        sizes, last = [], None
        while page := list(store.query_executions("work", limit=20, after=last)):
            sizes.append(str(len(page)))
            last = page[-1]
        print("page by page:", ", ".join(sizes))
