"""Shows how exceptions are recorded: an expected one is no failure.

You will see:

    charge failed The card was declined
    pay failed The card was declined
    find completed -
"""

import tempfile
from contextlib import suppress

from otel_tracker import configure, open_store, shutdown, traced


@traced
def charge(cents: int) -> None:
    raise ValueError("The card was declined")


@traced
def pay(cents: int) -> None:
    charge(cents)


@traced(expected=KeyError)
def find(sku: str) -> int:
    return {}[sku]


with tempfile.TemporaryDirectory() as folder:
    configure(exporters="jsonl", jsonl_path=f"{folder}/traces.jsonl")
    for function, argument in ((pay, 100), (find, "A1")):
        with suppress(ValueError, KeyError):
            function(argument)
    shutdown()
    with open_store(f"{folder}/traces.jsonl") as store:
        for span in (next(store.query_executions(name)) for name in ("charge", "pay", "find")):
            print(span.function, span.status, span.error.get("message", "-"))
