"""Samplers of every kind: the SDK's own, their subclasses, and one that notes what it was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import sampling
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
    StaticSampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import SpanKind, TraceState

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context


class Asked(Sampler):
    """A sampler that notes what it was asked and answers what it was told."""

    def __init__(self, decision: Decision = Decision.RECORD_AND_SAMPLE, *, note: str = "x", keep: bool = True) -> None:
        self.decision, self.note, self.keep = decision, note, keep
        self.questions: list[dict[str, Any]] = []

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Any = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        parent = trace.get_current_span(parent_context).get_span_context()
        asked = {"parent": parent.span_id, "trace_id": trace_id, "name": name, "kind": kind, "trace_state": trace_state}
        shown = {"attributes": dict(attributes or {}), "links": [link.context for link in links or ()]}
        self.questions.append(asked | shown)
        answer = {**(attributes or {}), "sampler.note": self.note} if self.keep else None
        return SamplingResult(self.decision, answer, TraceState([("sampler", self.note)]))

    def get_description(self) -> str:
        return f"Asked{{{self.note}}}"


class TurnedOff(StaticSampler):
    """A subclass of the SDK's own sampler that decides otherwise."""

    def should_sample(self, *_: Any, **__: Any) -> SamplingResult:
        return SamplingResult(Decision.DROP)


class TurnedOffRatio(TraceIdRatioBased):
    """The same for the ratio."""

    should_sample = TurnedOff.should_sample


class TurnedOffParentBased(ParentBased):
    """The same for the parent-based one."""

    should_sample = TurnedOff.should_sample


def patched() -> Sampler:
    """A sampler of the SDK's own class whose method was replaced on the object."""
    sampler = StaticSampler(Decision.RECORD_AND_SAMPLE)
    sampler.should_sample = lambda *_, **__: SamplingResult(Decision.DROP)  # type: ignore[method-assign]
    return sampler


def delegating() -> Sampler:
    notes = ("root", "remote sampled", "remote not sampled", "local sampled", "local not sampled")
    return ParentBased(*(Asked(note=note.replace(" ", "-")) for note in notes))


SAMPLERS: dict[str, Callable[[], Sampler]] = {
    "always on": lambda: ALWAYS_ON,
    "always off": lambda: ALWAYS_OFF,
    "default on": lambda: DEFAULT_ON,
    "default off": lambda: DEFAULT_OFF,
    "static, record only": lambda: StaticSampler(Decision.RECORD_ONLY),
    **{f"ratio {rate}": lambda rate=rate: TraceIdRatioBased(rate) for rate in (0.0, 0.3, 1.0)},
    **{f"parent based ratio {rate}": lambda rate=rate: ParentBasedTraceIdRatio(rate) for rate in (0.0, 0.3, 1.0)},
    "parent based, all delegates": delegating,
    "parent based, reversed": lambda: ParentBased(ALWAYS_OFF, ALWAYS_OFF, ALWAYS_ON, ALWAYS_OFF, ALWAYS_ON),
    "parent based, nested": lambda: ParentBased(ParentBased(TraceIdRatioBased(0.3)), local_parent_sampled=DEFAULT_OFF),
    "own, all": Asked,
    "own, without attributes": lambda: Asked(keep=False),
    "own, record only": lambda: Asked(Decision.RECORD_ONLY),
    "own, drop": lambda: Asked(Decision.DROP),
    "subclass of static": lambda: TurnedOff(Decision.RECORD_AND_SAMPLE),
    "subclass of ratio": lambda: TurnedOffRatio(1.0),
    "subclass of parent based": lambda: TurnedOffParentBased(ALWAYS_ON),
    "method replaced": patched,
}
if hasattr(sampling, "AlwaysRecordSampler"):
    SAMPLERS["always record, off"] = lambda: sampling.AlwaysRecordSampler(ALWAYS_OFF)
    SAMPLERS["always record, ratio"] = lambda: sampling.AlwaysRecordSampler(TraceIdRatioBased(0.3))
