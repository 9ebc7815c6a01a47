"""Says who is served, tells of a function by events, and routes some of them to the standard library's logging.

You will see:

    otel_tracker.events WARNING payment.started
    otel_tracker.events ERROR payment.failed
    cart.viewed by ada
    payment.started by ada
    payment.failed by ada
"""

import logging
import sys
import tempfile
from contextlib import suppress

from otel_tracker import configure, open_store, set_context, shutdown, span, track, track_duration

logging.basicConfig(stream=sys.stdout, format="%(name)s %(levelname)s %(event_name)s", level=logging.INFO)


@track_duration("payment")
def pay(cents: int) -> None:
    raise ValueError("refused")


with tempfile.TemporaryDirectory() as folder:
    configure(sqlite_path=f"{folder}/traces.db", events_routes="logging=payment.* level=WARNING")
    with span("POST /pay"):
        set_context(user_id="ada")
        track("cart.viewed", items=3)
        with suppress(ValueError):
            pay(500)
    shutdown()
    with open_store(f"{folder}/traces.db") as store:
        for event in reversed(list(store.events())):
            print(event.name, "by", event.properties["user.id"])
