"""Writes the records of a ProcessTracker through `logging`, in a format of its own and with the level of the outcome.

You will see:

    INFO handler order=o-1 rows=2
    ERROR handler order=o-2
"""

import json
import logging
import sys
from contextlib import suppress

from otel_tracker import ProcessTracker

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(message)s")


def log(text: str) -> None:
    record = json.loads(text)
    known = {"order": record["order"], **record["metrics"]}
    level = logging.ERROR if record.get("failed") else logging.INFO
    name = [*record["latencies"]][-1]  # the entry point completes last
    logging.log(level, "%s %s", name, " ".join(f"{key}={value}" for key, value in known.items()))


tracker = ProcessTracker(log)


@tracker
def handler(order: str) -> None:
    tracker.set_identifier("order", order)
    tracker.set_metric("rows", {"o-1": 2}[order])


handler("o-1")
with suppress(KeyError):
    handler("o-2")
