"""The Firestore tracker's own names: ``from otel_tracker.compat.firestore_tracker import FirestoreTracker, track``.

A tracker's calls are spans, which an exporter of its own writes into its collection (`otel_tracker.sink`), off the
caller's path; what ``configure()`` has set up gets them too. ``input`` keeps the form in which a call was made.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, TypeVar, cast
from urllib.parse import quote

from otel_tracker import attributes as keys
from otel_tracker import lifecycle
from otel_tracker.capture import captured, rules_in_force
from otel_tracker.compat.call_forms import decorate_as_called
from otel_tracker.destinations import TRACES_GROUP, entry_point_of
from otel_tracker.diagnostics import logger, say_once
from otel_tracker.firestore_settings import FIRESTORE_COLLECTION, FIRESTORE_PROJECT
from otel_tracker.records import SpanRecord
from otel_tracker.setting_values import parse_collection
from otel_tracker.stores import open_store

__all__ = ["FirestoreTracker", "track"]

F = TypeVar("F", bound=Callable[..., Any])

_DELAY_MS = 1_000.0
_FLUSH_S = 10.0
_MAX_FIELDS = 64
"""A span has 128 attributes; of more, OpenTelemetry drops the first, and with them what a document is found by."""

_lock = threading.Lock()
_sinks: dict[str, Any] = {}
_default: FirestoreTracker | None = None


class FirestoreTracker:
    """Tracks calls in one collection; trackers of the same collection and switches share an exporter.

    ``project_id`` None is ``OTEL_TRACKER_FIRESTORE_PROJECT``, else ``GOOGLE_CLOUD_PROJECT``, else the credentials'.
    Needs no credentials before the first call has been delivered. ``batch_mode`` makes no difference: documents are
    always written in batches. Raises ValueError for a name that no collection may have.
    """

    def __init__(  # noqa: PLR0917 - as its users call it
        self,
        collection_name: str = "function_tracking",
        project_id: str | None = None,
        enable_tracking: bool = True,
        track_errors: bool = True,
        track_performance: bool = True,
        batch_mode: bool = False,
    ) -> None:
        self.collection_name = _checked(collection_name, "collection_name")
        self.project_id = FIRESTORE_PROJECT.read(project_id)
        self.enable_tracking = enable_tracking
        self.track_errors = track_errors
        self.track_performance = track_performance
        self.batch_mode = batch_mode
        self.location = f"firestore://{quote(self.project_id or '', safe='')}/{quote(self.collection_name, safe='')}"
        self._sink = f"{self.location}{'' if track_errors else '-errors'}{'' if track_performance else '-durations'}"
        if batch_mode:
            logger.debug("batch_mode=True changes nothing: documents are always written in batches")
        if enable_tracking:
            self._add_exporter()

    def track(
        self,
        track_input: bool = True,
        track_output: bool = True,
        custom_fields: Mapping[str, Any] | None = None,
        subcollection: str | None = None,
    ) -> Callable[[F], F]:
        """A decorator: one document for every call.

        With ``track_input=False`` no argument is looked at, not even by its ``str()``.
        """
        if not self.enable_tracking:
            return lambda func: func
        added = {keys.SINK: self._sink, **_custom_attributes(custom_fields or {})}
        if subcollection is not None:
            added[keys.SUBCOLLECTION] = _checked(subcollection, "subcollection")
        return cast(
            "Callable[[F], F]",
            lambda func: decorate_as_called(func, added, capture_args=track_input, capture_result=track_output),
        )

    def flush_batch(self) -> bool:
        """Write what waits; False when that failed or took longer than ten seconds: it is kept and sent again."""
        return lifecycle.flush(_FLUSH_S)

    def query_executions(
        self,
        function_name: str | None = None,
        status: str | None = None,
        start_time: Any = None,
        end_time: Any = None,
        limit: int | None = 100,
    ) -> list[dict[str, Any]]:
        """Executions in the form of their documents, each with ``document_id``, newest first, this process's too.

        Times are as those of `otel_tracker.StoreReader.query_executions`, and so is what is raised.
        """
        lifecycle.flush(_FLUSH_S)
        with open_store(self.location) as store:
            found = store.query_executions(
                function_name, status=status, start_time=start_time, end_time=end_time, limit=limit
            )
            return [_document_of(record) for record in found]

    def get_statistics(
        self, function_name: str | None = None, start_time: Any = None, end_time: Any = None
    ) -> dict[str, Any]:
        """Counts, ``success_rate`` in percent and ``performance`` in milliseconds; 0 where nothing has run."""
        lifecycle.flush(_FLUSH_S)
        with open_store(self.location) as store:
            found = store.get_statistics(function_name or "*", start_time=start_time, end_time=end_time)
        times = {"avg": found.avg_ms, "min": found.min_ms, "max": found.max_ms}
        percentiles = {"p50": found.p50_ms, "p95": found.p95_ms, "p99": found.p99_ms}
        return {
            "function_name": function_name,
            "total_executions": found.total,
            "completed": found.completed,
            "failed": found.failed,
            "success_rate": found.success_rate or 0.0,
            "performance": {f"{name}_execution_time_ms": ms or 0.0 for name, ms in {**times, **percentiles}.items()},
        }

    def _add_exporter(self) -> None:
        """Give the provider an exporter for this tracker's spans, unless there is one."""
        with _lock:
            if self._sink in _sinks:
                return
            lifecycle.configure()
            exporter = entry_point_of("firestore", TRACES_GROUP).load()(
                project=self.project_id,
                collection=self.collection_name,
                sink=self._sink,
                stores_errors=self.track_errors,
                stores_durations=self.track_performance,
            )
            _sinks[self._sink] = exporter
            lifecycle.add_exporter(exporter, schedule_delay_ms=_DELAY_MS)


def track(
    track_input: bool = True,
    track_output: bool = True,
    custom_fields: Mapping[str, Any] | None = None,
    subcollection: str | None = None,
) -> Callable[[F], F]:
    """`FirestoreTracker.track` of a tracker that is made with the first use, for the collection of the settings."""
    global _default
    if _default is None:
        _default = FirestoreTracker(FIRESTORE_COLLECTION.read())
    return _default.track(track_input, track_output, custom_fields, subcollection)


def _checked(name: str, argument: str) -> str:
    try:
        return parse_collection(name)
    except (ValueError, TypeError):
        raise ValueError(
            f"{argument} is {str(name)[:60]!r}; expected a name of at most 200 characters without a slash, "
            "that neither is . or .. nor begins with two underscores."
        ) from None


def _custom_attributes(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as attributes: scalars as they are, all else as JSON text."""
    found = {}
    if len(fields) > _MAX_FIELDS:
        say_once(
            f"custom_fields has {len(fields)} fields; the first {_MAX_FIELDS} are recorded. Put what belongs together "
            "into one map."
        )
    for name, value in islice(fields.items(), _MAX_FIELDS):
        scalar, text = captured(value, rules_in_force())
        if text is None:
            found[f"{keys.CUSTOM_FIELDS_PREFIX}{name}"] = scalar
        else:
            found[f"{keys.CUSTOM_FIELDS_JSON_PREFIX}{name}"] = text
    return found


def _document_of(record: SpanRecord) -> dict[str, Any]:
    """The document that the tracker's README shows, from the record."""
    args = dict(record.args)
    is_as_called = args.keys() == {"args", "kwargs"}
    execution_id = f"{record.trace_id}{record.span_id}"
    custom = {
        key[len(keys.CUSTOM_FIELDS_PREFIX) :]: value
        for key, value in record.attributes.items()
        if key.startswith(keys.CUSTOM_FIELDS_PREFIX)
    }
    return {
        "document_id": f"{record.span_id}{record.trace_id}",
        "execution_id": execution_id,
        "function_name": record.function or record.name,
        "module": record.module,
        "timestamp": record.start,
        "status": record.status,
        "input": args if is_as_called else {"args": [], "kwargs": args},
        "output": record.result,
        "execution_time_ms": record.duration_ms,
        "error": dict(record.error) or None,
        "custom_fields": {**custom, **_nested_fields(record)},
    }


def _nested_fields(record: SpanRecord) -> dict[str, Any]:
    prefix = keys.CUSTOM_FIELDS_JSON_PREFIX
    return {key[len(prefix) :]: json.loads(text) for key, text in record.attributes.items() if key.startswith(prefix)}
