"""Tracers and providers that are not exactly the SDK's own, as vendors ship them."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import Tracer, TracerProvider


class VendorTracer(Tracer):
    """A subclass of the SDK's tracer that stamps each span."""

    def start_span(self, *given: Any, **named: Any) -> trace.Span:
        found = super().start_span(*given, **named)
        found.set_attribute("vendor", "stamped")
        return found


class SubclassingProvider(TracerProvider):
    """The SDK's provider, whose tracers are of the vendor's class."""

    def get_tracer(self, *given: Any, **named: Any) -> trace.Tracer:
        made = super().get_tracer(*given, **named)
        if type(made) is Tracer:
            made.__class__ = VendorTracer
        return made


class ProxyTracer(trace.Tracer):
    """A tracer of another class around the SDK's (as Logfire's and ddtrace's proxies are)."""

    def __init__(self, inner: trace.Tracer) -> None:
        self.inner = inner

    def start_span(self, *given: Any, **named: Any) -> trace.Span:
        found = self.inner.start_span(*given, **named)
        found.set_attribute("vendor", "stamped")
        return found

    def start_as_current_span(self, *given: Any, **named: Any) -> Any:
        raise NotImplementedError


class WrappingProvider(trace.TracerProvider):
    """A provider of another class that wraps the SDK's and gives tracers of its own."""

    def __init__(self, inner: TracerProvider) -> None:
        self.inner = inner

    def get_tracer(self, *given: Any, **named: Any) -> trace.Tracer:
        return ProxyTracer(self.inner.get_tracer(*given, **named))


class ForwardingProvider(WrappingProvider):
    """A provider of another class that gives the SDK's own tracers."""

    def get_tracer(self, *given: Any, **named: Any) -> trace.Tracer:
        return self.inner.get_tracer(*given, **named)
