"""What an exporter does is in nobody's traces, and takes nothing of the caller's along."""

from __future__ import annotations

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled, is_instrumentation_enabled

from .helpers import event, events, log_exporter, span_exporter
from .helpers import span as ended_span
from .server import serving

httpx = pytest.importorskip("httpx", reason="the umami extra is not installed")


def test_requests_are_not_traced_wherever_the_exporter_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instrumentors of HTTP clients ask this context; without it every export would make spans, to be exported."""
    seen: list[tuple[bool, bool, bool, object]] = []
    handle = httpx.HTTPTransport.handle_request

    def watched(self: object, request: object) -> object:
        span_context = trace.get_current_span().get_span_context()
        enabled = (is_instrumentation_enabled(), is_http_instrumentation_enabled())
        seen.append((*enabled, span_context.is_valid, baggage.get_baggage("tenant")))
        return handle(self, request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", watched)
    token = context.attach(baggage.set_baggage("tenant", "acme"))
    try:
        with serving() as server, log_exporter(server) as first, span_exporter(server, spans="*") as second:
            first.export(events(3))
            first.deliver([event()])
            second.export([ended_span()])
            assert all("baggage" not in request.headers for request in server.requests)
    finally:
        context.detach(token)
    assert set(seen) == {(False, False, False, None)}
    assert is_instrumentation_enabled()
