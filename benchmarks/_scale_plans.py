"""By which plans SQLite answers what a reader asks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

from otel_tracker.query import StoreReader
from otel_tracker.stores import open_store
from otel_tracker_exporters.sqlite import reader as reader_module
from otel_tracker_exporters.sqlite.database import open_to_read


def plans_of(path: Path, ask: Callable[[StoreReader], object]) -> list[str]:
    """One line a plan, each once: statements that differ only in their values have the same."""
    statements = _statements(path, ask)
    with closing(open_to_read(str(path))) as connection:
        connection.create_function("is_wanted", 3, lambda *_: True, deterministic=True)
        connection.create_function("is_named", 1, lambda *_: True, deterministic=True)
        plans = []
        for statement in statements:
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}")
            plans.append("; ".join(str(row[3]) for row in rows))
    return list(dict.fromkeys(plans))


def _statements(path: Path, ask: Callable[[StoreReader], object]) -> list[str]:
    found: list[str] = []

    def traced(location: str) -> object:
        connection = open_to_read(location)
        connection.set_trace_callback(found.append)
        return connection

    with open_store(path) as reader, patch.object(reader_module, "open_to_read", traced):
        ask(reader)
    return [statement for statement in found if statement.lstrip().upper().startswith(("SELECT", "WITH"))]
