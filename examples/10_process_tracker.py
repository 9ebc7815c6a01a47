"""Prints one JSON record of every invocation of a handler, as for AWS Lambda, and keeps its spans in a store.

You will see:

    {"latencies": {"query": 0.016, "handler": 0.041}, "metrics": {"rows": 2}, "order": "o-1"}
    {"latencies": {"query": 0.012, "handler": 0.038}, "metrics": {"error": "KeyError"}, "order": "o-2"}
    4 spans, 2 events
"""

import tempfile

from otel_tracker import ProcessTracker, configure, open_store, shutdown

prices = {"o-1": [30.0, 4.9]}
tracker = ProcessTracker()


@tracker
def handler(event: dict[str, str], context: object) -> None:
    tracker.set_identifier("order", event["order"])
    try:
        with tracker.timer("query"):
            tracker.set_metric("rows", len(prices[event["order"]]))
    except KeyError as error:
        tracker.set_metric("error", type(error).__name__)


with tempfile.TemporaryDirectory() as folder:
    configure(sqlite_path=f"{folder}/traces.db")
    for order in ("o-1", "o-2"):
        handler({"order": order}, None)
    shutdown()
    with open_store(f"{folder}/traces.db") as store:
        print(f"{len([*store.query_executions()])} spans, {len([*store.events()])} events")
