"""The rows of ``peers.py``: ours beside one peer, in the process of that peer.

The peer, `@traced`, a span of the SDK (for B) and the plain function are timed in the same rounds. Nothing is sent
anywhere: the peers' spans end in a writer or processor that discards them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import repeat
from time import thread_time_ns
from typing import Any

from _decorator_rows import WITH_CAPTURE, WITHOUT_CAPTURE, Bench
from _rounds import Case, Row
from _sdk_spans import Discard
from _workloads import ADD, ASYNC, ORDER, Decorator, Function, Workload, timed

# Read when ddtrace is imported. Its own writer asks for the agent once before it is replaced: at a socket that is none.
_DDTRACE_SETTINGS = {
    "DD_TRACE_AGENT_URL": "unix:///dev/null",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_CRASHTRACKING_ENABLED": "false",
    "DD_TRACE_STARTUP_LOGS": "false",
    "DD_RUNTIME_METRICS_ENABLED": "false",
    "DD_TRACE_HEALTH_METRICS_ENABLED": "false",
}


class Beside:
    """Makes rows that compare ours with what a peer does to the same function."""

    def __init__(self, peer: str) -> None:
        self._bench = Bench()
        self._peer = peer
        self._ours: dict[tuple[Workload, bool], Row] = {}

    def peer(self, how: str, workload: Workload, decorator: Decorator) -> Row:
        """What the peer adds, in B."""
        return self._bench.row(f"{self._peer} {how}", workload, decorator)

    def in_own_loop(self, how: str, workload: Workload, case: Case, plain: Case) -> Row:
        """The same where the peer's calls are made in another loop than ours."""
        unit, unit_plain = self._bench.unit(workload)
        return Row(f"{self._peer} {how}", workload.name, case, plain, unit, unit_plain)

    def against(self, peer: Row, workload: Workload, bar: float | None, *, captures: bool = False) -> list[Row]:
        """The peer's row, and ours as a part of it."""
        ours = self._our_row(workload, captures)
        label = f"{ours.name}, against {peer.name}"
        unit = f"x {self._peer}"
        return [peer, Row(label, workload.name, ours.case, ours.plain, peer.case, peer.plain, bar, unit)]

    def _our_row(self, workload: Workload, captures: bool) -> Row:
        key = workload, captures
        if key not in self._ours:
            decorator, name = (WITH_CAPTURE, "arguments, result") if captures else (WITHOUT_CAPTURE, "without capture")
            self._ours[key] = self._bench.row(name, workload, decorator)
        return self._ours[key]


def ddtrace_rows() -> list[Row]:
    """``@tracer.wrap()``; the writer, who gets the spans of a trace when it is complete, does nothing with them.

    The bar is for a span that was given to the writer: a trace of 100 spans is finished in the time that counts. How
    it is without that is only shown.
    """
    os.environ.update(_DDTRACE_SETTINGS)
    tracer = _ddtrace_tracer()
    beside = Beside("ddtrace")
    rows: list[Row] = []
    for workload, loop in ((ADD, add_loop_in_trace), (ASYNC, async_loop_in_trace)):
        wrapped: Function = tracer.wrap()(workload.function)
        finished = Case(f"ddtrace, {workload.name}", timed(loop, wrapped, tracer))
        plain = Case(f"plain in a trace, {workload.name}", timed(loop, workload.function, tracer))
        rows += beside.against(beside.in_own_loop("wrap", workload, finished, plain), workload, 0.35)
    open_trace = Case("ddtrace, not written", timed(ADD.loop, tracer.wrap()(ADD.function)), lambda: tracer.trace("p"))
    plain = ADD.case("plain in an open trace", None, lambda: tracer.trace("p"))
    return rows + beside.against(beside.in_own_loop("wrap, not written", ADD, open_trace, plain), ADD, None)


def logfire_rows() -> list[Row]:
    """``instrument`` without arguments; with them and the result, which is scrubbed by default; without scrubbing."""
    beside = Beside("Logfire")
    scrubbed, unscrubbed = _logfire(), _logfire(scrubbing=False)

    def both(how: str, workload: Workload, bar: float | None, captures: bool, decorator: Decorator) -> list[Row]:
        return beside.against(beside.peer(how, workload, decorator), workload, bar, captures=captures)

    bare, full, open_full = "instrument, no arguments", "instrument, record_return", "instrument, not scrubbed"
    return [
        *both(bare, ADD, 0.07, False, scrubbed(extract_args=False)),
        *both(bare, ASYNC, 0.07, False, scrubbed(extract_args=False)),
        *both(full, ADD, 0.05, True, scrubbed(record_return=True)),
        *both(full, ORDER, 0.09, True, scrubbed(record_return=True)),
        *both(open_full, ADD, None, True, unscrubbed(record_return=True)),
        *both(open_full, ORDER, None, True, unscrubbed(record_return=True)),
    ]


ROWS: dict[str, Callable[[], list[Row]]] = {"ddtrace": ddtrace_rows, "logfire": logfire_rows}


def add_loop_in_trace(call: Function, data: Any, times: int) -> int:
    begin_ns = thread_time_ns()
    with data.trace("parent"):
        for _ in repeat(None, times):
            call(1, 2)
    return thread_time_ns() - begin_ns


async def async_loop_in_trace(call: Function, data: Any, times: int) -> int:
    begin_ns = thread_time_ns()
    with data.trace("parent"):
        for _ in repeat(None, times):
            await call(1, 2)
    return thread_time_ns() - begin_ns


def _ddtrace_tracer() -> Any:
    from ddtrace.internal.writer import TraceWriter
    from ddtrace.trace import tracer

    class NullWriter(TraceWriter):
        """Takes traces and keeps none."""

        written = 0

        def recreate(self, *_: Any, **__: Any) -> TraceWriter:
            return self

        def stop(self, timeout: float | None = None) -> None:
            """Nothing was started."""

        def write(self, spans: Sequence[Any] | None = None) -> None:
            self.written += 1

        def flush_queue(self) -> None:
            """Nothing is kept."""

    writer = NullWriter()
    tracer._span_aggregator.writer = writer
    tracer.trace("check").finish()
    if writer.written != 1:
        raise RuntimeError("ddtrace gave no trace to the writer that is to discard it; is this another release?")
    return tracer


def _logfire(**options: Any) -> Callable[..., Decorator]:
    """A Logfire of its own that leaves the global provider to us."""
    import logfire

    configured = logfire.configure(
        local=True,
        send_to_logfire=False,
        console=False,
        metrics=False,
        additional_span_processors=[Discard()],
        **options,
    )
    instrument: Callable[..., Decorator] = configured.instrument
    return instrument
