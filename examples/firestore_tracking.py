"""Tracks functions in Firestore and asks for them again: with the emulator, or with a project of your own.

    gcloud emulators firestore start --host-port=127.0.0.1:8080
    FIRESTORE_EMULATOR_HOST=127.0.0.1:8080 GOOGLE_CLOUD_PROJECT=demo python examples/firestore_tracking.py

You will see:

    simple function: input {'args': [5, 3], 'kwargs': {}}, output 8
    ML prediction: positive, by the model sentiment
    data pipeline: load, clean, summarise in one trace, 3 of 4 rows kept
    class method: Account.deposit called with {'args': [50], 'kwargs': {'note': 'salary'}}
    error: ValueError: Invalid value, traceback stored: True
    statistics: 2 of 3 succeeded (66.7 %), percentiles in order: True
    batch: 500 calls, 500 documents
    privacy: input {'args': [], 'kwargs': {}}, processed 6 characters
"""

import os
import tempfile
import uuid
from contextlib import suppress
from typing import Any

from otel_tracker import configure, open_store, shutdown
from otel_tracker.compat.firestore_tracker import FirestoreTracker

COLLECTION = f"example_{uuid.uuid4().hex[:8]}"  # one of its own for every run


def main() -> None:
    tracker = FirestoreTracker(collection_name=COLLECTION)
    simple_function(tracker)
    ml_prediction(tracker)
    data_pipeline(tracker)
    class_method(tracker)
    errors_and_statistics(tracker)
    batch()
    privacy(tracker)


def simple_function(tracker: FirestoreTracker) -> None:
    @tracker.track()
    def calculate_sum(x: int, y: int) -> int:
        return x + y

    calculate_sum(5, 3)
    (found,) = tracker.query_executions("calculate_sum")
    print(f"simple function: input {found['input']}, output {found['output']}")


def ml_prediction(tracker: FirestoreTracker) -> None:
    """Fields of one's own can be filtered by in Firestore; a subcollection groups documents, and is searched too."""

    @tracker.track(custom_fields={"model": "sentiment", "version": "2.1"}, subcollection="ml")
    def predict(text: str, threshold: float = 0.5) -> dict[str, Any]:
        score = 0.75 if "good" in text else 0.25
        return {"label": "positive" if score > threshold else "negative", "score": score}

    predict("a good day", threshold=0.6)
    (found,) = tracker.query_executions("predict")
    label, model = found["output"]["label"], found["custom_fields"]["model"]  # Firestore keeps no order of keys
    print(f"ML prediction: {label}, by the model {model}")


def data_pipeline(tracker: FirestoreTracker) -> None:
    """Steps that call each other are one trace."""

    @tracker.track()
    def load() -> list[int | None]:
        return [1, 2, None, 4]

    @tracker.track()
    def clean(rows: list[int | None]) -> list[int]:
        return [row for row in rows if row is not None]

    @tracker.track()
    def summarise() -> dict[str, int]:
        rows = load()
        return {"rows": len(rows), "kept": len(clean(rows))}

    summary = summarise()
    tracker.flush_batch()
    with open_store(tracker.location) as store:
        (top,) = store.query_executions("summarise")
        steps = [span.function.rpartition(".")[2] for span in store.get_trace(top.trace_id)]
    print(f"data pipeline: {', '.join(sorted(steps, key=['load', 'clean', 'summarise'].index))} in one trace, ", end="")
    print(f"{summary['kept']} of {summary['rows']} rows kept")


def class_method(tracker: FirestoreTracker) -> None:
    """The object itself is not recorded."""

    class Account:
        balance = 0

        @tracker.track()
        def deposit(self, amount: int, *, note: str) -> int:
            self.balance += amount
            return self.balance

    Account().deposit(50, note="salary")
    (found,) = tracker.query_executions("deposit")
    print(f"class method: Account.{found['function_name'].rpartition('.')[2]} called with {found['input']}")


def errors_and_statistics(tracker: FirestoreTracker) -> None:
    @tracker.track()
    def risky_operation(value: int) -> int:
        if value < 0:
            raise ValueError("Invalid value")
        return value * 2

    for value in (1, 2, -1):
        with suppress(ValueError):
            risky_operation(value)
    (failed,) = tracker.query_executions("risky_operation", status="failed")
    error = failed["error"]
    print(f"error: {error['type']}: {error['message']}, traceback stored: {'raise ValueError' in error['traceback']}")
    statistics = tracker.get_statistics("risky_operation")
    times = [statistics["performance"][f"{name}_execution_time_ms"] for name in ("min", "p50", "p95", "max")]
    print(f"statistics: {statistics['completed']} of {statistics['total_executions']} succeeded ", end="")
    print(f"({statistics['success_rate']:.1f} %), percentiles in order: {times == sorted(times)}")


def batch() -> None:
    """Documents are always written in batches, off the caller's path."""
    tracker = FirestoreTracker(collection_name=f"{COLLECTION}_batch", batch_mode=True)

    @tracker.track()
    def frequent_operation(number: int) -> int:
        return number

    for number in range(500):
        frequent_operation(number)
    tracker.flush_batch()
    print(f"batch: 500 calls, {tracker.get_statistics('frequent_operation')['total_executions']} documents")


def privacy(tracker: FirestoreTracker) -> None:
    """Input that is not tracked is not looked at."""

    @tracker.track(track_input=False)
    def process_sensitive_data(sensitive_input: str) -> dict[str, Any]:
        return {"status": "processed", "count": len(sensitive_input)}

    process_sensitive_data("secret")
    (found,) = tracker.query_executions("process_sensitive_data")
    print(f"privacy: input {found['input']}, {found['output']['status']} {found['output']['count']} characters")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("OTEL_TRACES_EXPORTER", "none")  # nothing but the trackers' own documents
        configure(delivery_journal_dir=f"{folder}/journal")
        main()
        shutdown()
