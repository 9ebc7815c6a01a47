"""A provider that writes to the emulator, and what lies there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from delivery.programs import WORK as WORK
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.util._once import Once

from otel_tracker.processors import DurableSpanProcessor
from otel_tracker_exporters.firestore import FirestoreSpanExporter

COLLECTION = "function_tracking"


@contextmanager
def writing(project: str, **options: Any) -> Iterator[tuple[DurableSpanProcessor, FirestoreSpanExporter]]:
    """The global provider, with the processor in front of an exporter of that project; taken away at the end."""
    exporter = FirestoreSpanExporter(project=project, **{"max_writes_per_s": 0, **options})
    processor = DurableSpanProcessor(exporter, schedule_delay_millis=500)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    try:
        yield processor, exporter
    finally:
        provider.shutdown()
        trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = None, Once()


def delivered(processor: DurableSpanProcessor, timeout_s: float = 120.0) -> bool:
    """Whether everything arrives in time; an emulator on a busy machine may refuse once and take it later."""
    deadline_s = time.monotonic() + timeout_s
    while not processor.force_flush(10_000):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.1)
    return True


@contextmanager
def client_of(project: str) -> Iterator[Any]:
    """Google's own client: what it finds is what is there."""
    from google.cloud import firestore

    client = firestore.Client(project=project)
    try:
        yield client
    finally:
        client.close()


def documents_of(project: str, collection: str = COLLECTION) -> dict[str, dict[str, Any]]:
    """Every document of a collection group, by id."""
    with client_of(project) as client:
        return {document.id: document.to_dict() for document in client.collection_group(collection).stream()}


def count_of(project: str, collection: str = COLLECTION) -> int:
    """How many documents the server counts."""
    with client_of(project) as client:
        return int(client.collection_group(collection).count().get()[0][0].value)
