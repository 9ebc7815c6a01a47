"""What the tests of this folder share: a real provider that remembers, and readers of what arrived."""

import json
import traceback
from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from otel_tracker import attributes as keys

REDACTED = "[redacted]"


class Recorder:
    """A real SDK provider whose finished spans can be looked up by the last part of their name."""

    def __init__(self, sampler: Sampler = ALWAYS_ON, *processors: SpanProcessor) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        for processor in (*processors, SimpleSpanProcessor(self.exporter)):
            self.provider.add_span_processor(processor)

    @property
    def finished(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    @property
    def names(self) -> list[str]:
        """The last parts of the names, in the order in which the spans ended."""
        return [short_name(span) for span in self.finished]

    def all(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.finished if short_name(span) == name]

    def one(self) -> ReadableSpan:
        assert len(self.finished) == 1, [span.name for span in self.finished]
        return self.finished[0]

    def __getitem__(self, name: str) -> ReadableSpan:
        found = self.all(name)
        assert len(found) == 1, f"{name!r} in {[span.name for span in self.finished]}"
        return found[0]


class CountingObject:
    """An argument that notes each attempt to look into it."""

    def __init__(self) -> None:
        self.looks: list[str] = []

    def __repr__(self) -> str:
        self.looks.append("repr")
        return "<counting>"

    def __str__(self) -> str:
        self.looks.append("str")
        return "counting"

    def __iter__(self) -> Any:
        self.looks.append("iter")
        return iter(())

    def __len__(self) -> int:
        self.looks.append("len")
        return 0

    def __bool__(self) -> bool:
        self.looks.append("bool")
        return True

    def keys(self) -> list[str]:
        self.looks.append("keys")
        return []


def short_name(span: ReadableSpan) -> str:
    return span.name.rpartition(".")[2]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def args(span: ReadableSpan) -> dict[str, Any]:
    """The captured arguments by name, JSON text decoded."""
    found: dict[str, Any] = {}
    for key, value in attributes(span).items():
        if key.startswith(keys.ARGS_PREFIX):
            found[key.removeprefix(keys.ARGS_PREFIX)] = value
        elif key.startswith(keys.ARGS_JSON_PREFIX):
            found[key.removeprefix(keys.ARGS_JSON_PREFIX)] = decode(value)
    return found


def result(span: ReadableSpan) -> Any:
    """The captured result, JSON text decoded; KeyError when there is none."""
    found = attributes(span)
    return found[keys.RESULT] if keys.RESULT in found else decode(found[keys.RESULT_JSON])


def has_result(span: ReadableSpan) -> bool:
    return keys.RESULT in attributes(span) or keys.RESULT_JSON in attributes(span)


def decode(text: Any) -> Any:
    """The value of strictly valid JSON text: NaN and the infinities are refused."""

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is no JSON")

    assert isinstance(text, str)
    return json.loads(text, parse_constant=refuse)


def exception_events(span: ReadableSpan) -> list[dict[str, Any]]:
    return [dict(event.attributes or {}) for event in span.events if event.name == keys.EXCEPTION_EVENT]


def status(span: ReadableSpan) -> str:
    return span.status.status_code.name


def is_child(child: ReadableSpan, parent: ReadableSpan) -> bool:
    assert child.context is not None
    assert parent.context is not None
    return (
        child.parent is not None
        and child.parent.span_id == parent.context.span_id
        and child.context.trace_id == parent.context.trace_id
    )


def is_root(span: ReadableSpan) -> bool:
    return span.parent is None


def current_span_id() -> int:
    return trace.get_current_span().get_span_context().span_id


def caught(call: Callable[[], object]) -> BaseException:
    """The exception that the call raises, as the very object."""
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def frame_count(error: BaseException) -> int:
    return sum(1 for _ in traceback.walk_tb(error.__traceback__))
