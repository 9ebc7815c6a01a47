"""Traces two functions, stores them in a SQLite file and shows the newest trace.

You will see:

    __main__.check_out completed {'prices': [10.0, 15.0], 'card_number': '[redacted]'}
    __main__.total completed {'prices': [10.0, 15.0], 'discount': 0.5} 12.5
"""

import tempfile

from otel_tracker import configure, open_store, shutdown, traced


@traced(capture_result=True)
def total(prices: list[float], discount: float = 0.5) -> float:
    return sum(prices) * (1 - discount)


@traced
def check_out(prices: list[float], card_number: str) -> None:
    total(prices)


with tempfile.TemporaryDirectory() as folder:
    configure(sqlite_path=f"{folder}/traces.db")
    check_out([10.0, 15.0], card_number="4242 4242 4242 4242")
    shutdown()
    with open_store(f"{folder}/traces.db") as store:
        newest = next(store.query_executions(limit=1))
        for record in store.get_trace(newest.trace_id):
            print(record.name, record.status, dict(record.args), record.result if record.has_result else "")
