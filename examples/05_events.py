"""Records events inside and outside a span, and asks for them by name.

You will see:

    order.placed {'order_id': 42, 'total': 34.9} in the trace of place
    shop.closed {} in no trace
"""

import tempfile

from otel_tracker import configure, open_store, shutdown, traced, track


@traced
def place(order_id: int, total: float) -> None:
    track("order.placed", order_id=order_id, total=total)


with tempfile.TemporaryDirectory() as folder:
    configure(sqlite_path=f"{folder}/traces.db")
    place(42, 34.9)
    track("shop.closed")
    shutdown()
    with open_store(f"{folder}/traces.db") as store:
        for name in ("order.*", "shop.closed"):
            event = next(store.events(name))
            spans = store.get_trace(event.trace_id) if event.trace_id else []
            where = f"the trace of {spans[0].function}" if spans else "no trace"
            print(event.name, dict(event.properties), "in", where)
