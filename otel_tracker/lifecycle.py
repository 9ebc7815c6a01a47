"""`configure`, `flush` and `shutdown`: telemetry's life in a process, in code.

`configure()` is one way in; `opentelemetry-instrument` with our configurator is the other. Both end in `start()`,
which does its work once a process. The SDK flushes by itself at a normal exit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from otel_tracker import (
    capture,
    emitting,
    http_rules,
    instruments,
    redaction,
    request_context,
    setting_sources,
    settings,
)
from otel_tracker.conventions import stable_http_conventions
from otel_tracker.delivery import lanes
from otel_tracker.diagnostics import logger, report_internal_error, say_once, set_log_level
from otel_tracker.propagation import adopt_environment
from otel_tracker.switch import is_sdk_disabled
from otel_tracker.tracing import defaults, engine

if TYPE_CHECKING:
    from otel_tracker.guards import Guards
    from otel_tracker.providers import Installation

DEFAULT_TIMEOUT_S = 10.0

# A guard's share of the exit's time for delivering; the rest is for putting on disk what was not delivered.
_GUARDED_SHARE = 0.8
_LAST_S = 0.2

_lock = threading.RLock()
_installation: Installation | None = None
_guards: Guards | None = None
_is_shut_down = False


def configure(**arguments: Any) -> None:
    """Start storing spans and events: ``configure(exporters="sqlite,jsonl", sqlite_path="traces.db")``.

    Arguments are the settings of ``docs/settings.md`` and go before environment and file. Call it early and as
    often as you like: destinations are set up once a process, by the first call; capture, redaction and log level
    follow every call. A tracer provider that is already set is used and gets our destinations added.

    Raises `UnknownSettingError` for a name that is no setting; a value that cannot be used is said in one sentence
    and its default is used.
    """
    _apply(arguments)
    start()
    _propagate_into_threads()


def start(*, auto_instrumentation_version: str | None = None) -> None:
    """Set up the destinations once a process; later calls change nothing."""
    global _installation
    with _lock:
        _apply({})
        if is_sdk_disabled():
            logger.debug("OTEL_SDK_DISABLED is true; nothing is set up")
            return
        if _installation is not None or _is_shut_down:
            if _is_shut_down:
                say_once("configure() after shutdown() changes no destinations; start a new process for that.")
            return
        try:
            from otel_tracker.providers import install

            _installation = install(auto_instrumentation_version=auto_instrumentation_version)
        except Exception as error:  # the SDK reads limits while it is imported, and raises for one that is no number
            reason = str(error).replace("\n", " ")[:300]
            say_once(
                f"The OpenTelemetry SDK cannot be used ({type(error).__name__}: {reason}); nothing is traced. "
                "Mend the variable that the sentence names."
            )
            return
        engine.prepare()
        capture.prepare()
        emitting.prepare()
        request_context.prepare()
        guard()
        adopt_environment()
        logger.debug("effective settings: %s", settings.effective())


def add_exporter(exporter: Any, *, schedule_delay_ms: float | None = None) -> None:
    """Give spans to one exporter more, of those that `configure()` has set up; nothing where nothing is set up."""
    with _lock:
        if _installation is None:
            return
        from otel_tracker.providers import add_exporter as add

        add(_installation, exporter, schedule_delay_ms)


def flush(timeout_s: float = DEFAULT_TIMEOUT_S) -> bool:
    """Deliver what has ended so far; False when that took longer than ``timeout_s`` seconds or failed. Never raises.

    What a destination did not take is not lost: it is sent again, see `delivery_report`.
    """
    return _within(timeout_s, *_flushes(timeout_s))


def shutdown(timeout_s: float = DEFAULT_TIMEOUT_S) -> bool:
    """Deliver everything, close the stores and stop; False when that took longer than ``timeout_s`` seconds.

    Spans and events made later go nowhere. Providers of somebody else's stay open; only our part of them closes.
    """
    global _installation, _is_shut_down
    with _lock:
        made, _installation = _installation, None
        if made is None:
            return True
        _is_shut_down = True
    lanes.grant(timeout_s)
    spans_and_events, measurements = _shutdowns(made, timeout_s)
    return _within(timeout_s + _LAST_S, [*spans_and_events, _is_all_delivered], measurements)


def _apply(arguments: dict[str, Any]) -> None:
    if arguments:
        settings.set_arguments(arguments)
        forget_cached_settings()
    if settings.LOG_LEVEL.is_set():
        set_log_level(settings.LOG_LEVEL.read())


def forget_cached_settings() -> None:
    """Read every setting again at its next use."""
    setting_sources.forget_file()
    redaction.reset()
    http_rules.reset()
    capture.reset()
    defaults.reset()
    engine.reset()
    emitting.reset()
    instruments.reset()
    request_context.reset()


def guard() -> None:
    """See to ends of the process that the SDK does not hear of; once, for a fork takes it along.

    `start` does it; by itself it is for who sets up the SDK in another way.
    """
    global _guards
    if _guards is None:
        from otel_tracker.guards import Guards

        _guards = Guards(_deliver_before_the_end, lanes.go_on)
        _guards.install(handles_signals=settings.DELIVERY_SIGNALS.read())


def _propagate_into_threads() -> None:
    """Let threads and executors continue the trace of whoever starts them (upstream's threading instrumentor)."""
    try:
        from opentelemetry.instrumentation.threading import ThreadingInstrumentor

        instrumentor = ThreadingInstrumentor()
        if not instrumentor.is_instrumented_by_opentelemetry:
            with stable_http_conventions():
                instrumentor.instrument()
    except Exception as error:
        report_internal_error("propagating context into threads", error)


def _flushes(timeout_s: float) -> list[list[Callable[[], Any]]]:
    """What is done one after another, in groups that do not wait for each other.

    Our readers were added to their provider later, and the SDK flushes only those that it was made with.
    """
    from opentelemetry import _logs, metrics, trace

    timeout_ms = max(1, int(timeout_s * 1e3))
    made = _installation
    groups: list[list[Any]] = [[trace.get_tracer_provider(), _logs.get_logger_provider()]]
    groups += [[one] for one in (metrics.get_meter_provider(), *(made.metric_readers if made else ()))]
    found: list[list[Callable[[], Any]]] = [
        [partial(one.force_flush, timeout_ms) for one in group if hasattr(one, "force_flush")] for group in groups
    ]
    return [group for group in found if group]


def _deliver_before_the_end() -> None:
    """What a guard does: deliver, and put on disk what could not be delivered in time."""
    flush(settings.DELIVERY_EXIT_TIMEOUT_S.read() * _GUARDED_SHARE)
    lanes.park()
    lanes.leave_report()


def _is_all_delivered() -> bool:
    report = lanes.delivery_report()
    return not (report.in_journal or report.queued)


def _shutdowns(made: Installation, timeout_s: float) -> tuple[list[Callable[[], Any]], list[Callable[[], Any]]]:
    """What closes spans and events, and what closes metrics."""
    from opentelemetry import _logs, metrics, trace

    from otel_tracker.metric_reading import shut_down

    mine: Iterable[Any] = (*made.span_processors, *made.log_record_processors)
    if made.owns_providers:
        mine = (trace.get_tracer_provider(), _logs.get_logger_provider())
    measurements: list[Callable[[], Any]] = [partial(shut_down, made.metric_readers, timeout_s)]
    meter_provider: Any = metrics.get_meter_provider()
    if made.owns_meter_provider and hasattr(meter_provider, "shutdown"):
        measurements.append(meter_provider.shutdown)
    return [one.shutdown for one in mine if hasattr(one, "shutdown")], measurements


def _within(timeout_s: float, *groups: list[Callable[[], Any]]) -> bool:
    """Run the actions of each group one after another on a thread of its own, and wait no longer than this for all.

    The SDK's processors ignore the timeout that they are given, so the deadline is kept here.
    """
    results: list[bool] = []

    def run(actions: list[Callable[[], Any]]) -> None:
        for action in actions:
            try:
                results.append(action() is not False)
            except Exception as error:  # exporters of anybody's
                results.append(False)
                report_internal_error("flushing", error)

    deadline_s = monotonic() + timeout_s
    workers = []
    for group in groups:
        worker = threading.Thread(target=run, args=(group,), name="otel-tracker-flush", daemon=True)
        try:
            worker.start()
        except RuntimeError:  # no more threads, or the interpreter is about to end
            run(group)
        else:
            workers.append(worker)
    for worker in workers:
        worker.join(max(0.0, deadline_s - monotonic()))
    return not any(worker.is_alive() for worker in workers) and all(results)
