"""What is captured of arguments and results, under which keys, and what is left out or made unreadable."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind
from opentelemetry.util.types import Attributes

from otel_tracker import Sensitive, span, traced
from otel_tracker import attributes as keys

from . import future_annotations
from .helpers import REDACTED, Recorder, args, attributes, decode, has_result, is_child, is_root, result, status

SECRET = "tops3cret"


def everything(a: Any, /, b: Any, c: Any = 3, *rest: Any, d: Any, e: Any = 5, **more: Any) -> Any:
    """One parameter of every kind."""
    return a


@pytest.mark.parametrize("value", [True, 7, 1.5, "text"], ids=lambda value: type(value).__name__)
def test_scalars_are_native_attributes(spans: Recorder, value: Any) -> None:
    """Booleans, integers, floats and text are attributes as they are."""
    traced(capture_result=True)(lambda x: x)(value)
    found = attributes(spans.one())
    assert found[f"{keys.ARGS_PREFIX}x"] == value
    assert type(found[f"{keys.ARGS_PREFIX}x"]) is type(value)
    assert found[keys.RESULT] == value
    assert f"{keys.ARGS_JSON_PREFIX}x" not in found
    assert keys.RESULT_JSON not in found


@pytest.mark.parametrize(
    "value", [[1, "a"], {"a": [1, {"b": None}]}, [], {}, [True, 1.5, None]], ids=["list", "dict", "[]", "{}", "mixed"]
)
def test_containers_are_json_text(spans: Recorder, value: Any) -> None:
    """Lists and maps are JSON text under a key of its own."""
    traced(capture_result=True)(lambda x: x)(value)
    found = attributes(spans.one())
    assert decode(found[f"{keys.ARGS_JSON_PREFIX}x"]) == value
    assert decode(found[keys.RESULT_JSON]) == value
    assert f"{keys.ARGS_PREFIX}x" not in found


def test_none_is_captured(spans: Recorder) -> None:
    """None is a value like any other, as argument and as result."""
    traced(capture_result=True)(lambda x: x)(None)
    assert args(spans.one()) == {"x": None}
    assert result(spans.one()) is None


def test_every_kind_of_parameter_is_recorded_under_its_name(spans: Recorder) -> None:
    """Defaults count as given; star arguments are one list and keywords one map, under their own names."""
    traced(everything)(1, 2, d=4)
    traced(everything)(1, 2, 30, 31, 32, d=4, e=50, x=6, y=[7])
    first, second = spans.finished
    assert args(first) == {"a": 1, "b": 2, "c": 3, "rest": [], "d": 4, "e": 5, "more": {}}
    assert args(second) == {
        "a": 1, "b": 2, "c": 30, "rest": [31, 32], "d": 4, "e": 50, "more": {"x": 6, "y": [7]},
    }  # fmt: skip


def test_tuples_are_lists(spans: Recorder) -> None:
    """A tuple is recorded like a list."""
    traced(lambda x: x)((1, (2, 3)))
    assert args(spans.one()) == {"x": [1, [2, 3]]}


def test_capture_can_be_switched_off(spans: Recorder) -> None:
    """With `capture_args=False` no argument is on the span."""
    traced(capture_args=False)(everything)(1, 2, d=4)
    assert args(spans.one()) == {}


@pytest.mark.parametrize("names", [["b", "more"], ("b", "more")], ids=["list", "tuple"])
def test_capture_can_name_parameters(spans: Recorder, names: Sequence[str]) -> None:
    """With a list of names only those parameters are on the span."""
    traced(capture_args=names)(everything)(1, 2, d=4, x=5)
    assert args(spans.one()) == {"b": 2, "more": {"x": 5}}


def test_parameters_that_are_not_captured_are_not_looked_at(spans: Recorder) -> None:
    """What is left out of the list is never evaluated."""

    class Untouchable:
        def __repr__(self) -> str:
            raise AssertionError("looked")

        __str__ = __repr__

    traced(capture_args=["b"])(everything)(Untouchable(), 2, d=Untouchable())
    assert args(spans.one()) == {"b": 2}


@pytest.mark.parametrize("captures", [True, False])
def test_result_is_captured_on_request(spans: Recorder, captures: bool) -> None:
    """`capture_result` decides whether the result is on the span."""
    traced(capture_result=captures)(lambda: [1])()
    assert has_result(spans.one()) is captures
    if captures:
        assert result(spans.one()) == [1]


def test_arguments_are_those_of_the_call(spans: Recorder) -> None:
    """What the function does to its arguments later does not change what is recorded."""

    @traced
    def spoil(items: list[int], table: dict[str, int]) -> None:
        items.clear()
        table["b"] = 2

    spoil([1, 2], {"a": 1})
    assert args(spans.one()) == {"items": [1, 2], "table": {"a": 1}}


def test_hidden_parameters_are_redacted(spans: Recorder) -> None:
    """Parameters that `hide` names show that they were there, and nothing else."""
    traced(hide=("a", "d", "rest"))(everything)(SECRET, 2, 3, SECRET, d=[SECRET])
    found = args(spans.one())
    assert (found["a"], found["d"], found["rest"], found["b"]) == (REDACTED, REDACTED, REDACTED, 2)
    assert SECRET not in str(attributes(spans.one()))


def test_hidden_parameters_are_redacted_when_they_have_their_default(spans: Recorder) -> None:
    """A default may be a secret too."""
    traced(hide=("key",))(lambda key=SECRET: None)()
    assert args(spans.one()) == {"key": REDACTED}


@pytest.mark.parametrize("name", ["password", "api_key", "token", "secret", "authorization", "db_password"])
def test_names_that_look_secret_are_redacted(spans: Recorder, name: str) -> None:
    """Without any option, values under well-known names never become attributes, however deep they lie."""
    namespace: dict[str, Any] = {}
    exec(f"def work({name}, table, **more): return table", namespace)
    table = {"user": "ann", name: SECRET, "deep": [{name.upper(): SECRET}]}
    traced(capture_result=True)(namespace["work"])(SECRET, table, **{"user": "ann", f"my_{name}": SECRET})
    found = spans.one()
    assert args(found)[name] == REDACTED
    assert args(found)["table"] == {"user": "ann", name: REDACTED, "deep": [{name.upper(): REDACTED}]}
    assert args(found)["more"]["user"] == "ann"
    assert SECRET not in str(attributes(found))


def test_sensitive_parameters_are_never_captured(spans: Recorder) -> None:
    """A parameter that is annotated as sensitive is not on the span, whatever it is called."""

    @traced
    def sign_in(user: str, phrase: Annotated[str, Sensitive]) -> str:
        return user

    sign_in("ann", SECRET)
    assert args(spans.one())["user"] == "ann"
    assert args(spans.one()).get("phrase", REDACTED) == REDACTED
    assert SECRET not in str(attributes(spans.one()))


def test_sensitive_star_arguments_are_never_captured(spans: Recorder) -> None:
    """Star arguments and keywords can be sensitive as well."""

    @traced
    def run(*words: Annotated[str, Sensitive], **table: Annotated[str, Sensitive]) -> None: ...

    run(SECRET, key=SECRET)
    assert SECRET not in str(attributes(spans.one()))


@pytest.mark.parametrize(
    "call",
    [
        lambda: future_annotations.sign_in("ann", SECRET),
        lambda: future_annotations.sign_in_maybe("ann"),
        lambda: future_annotations.sign_in_with(future_annotations.Login("ann", SECRET)),
    ],
    ids=["parameter", "default", "field"],
)
def test_sensitive_annotations_may_be_text(spans: Recorder, call: Callable[[], Any]) -> None:
    """`from __future__ import annotations` turns annotations into text; they count all the same."""
    assert call() == "ann"
    assert SECRET not in str(attributes(spans.one()))


def test_sensitive_annotation_with_a_name_that_is_missing_at_runtime(spans: Recorder) -> None:
    """When one annotation can't be evaluated, a sensitive one beside it still counts."""
    namespace: dict[str, Any] = {"Annotated": Annotated, "Sensitive": Sensitive}
    source = "def work(other: 'OnlyForTypeCheckers', phrase: 'Annotated[str, Sensitive]'): return other"
    exec(source, namespace)
    assert traced(namespace["work"])(1, SECRET) == 1
    assert SECRET not in str(attributes(spans.one()))
    assert args(spans.one())["other"] == 1


def test_sensitive_fields_are_never_captured(spans: Recorder) -> None:
    """A field of a data class that is annotated as sensitive is not in what is recorded of the object."""

    @dataclasses.dataclass
    class Login:
        user: str
        phrase: Annotated[str, Sensitive]

    traced(capture_result=True)(lambda login: login)(Login("ann", SECRET))
    assert SECRET not in str(attributes(spans.one()))


def test_secret_str_of_pydantic_is_masked(spans: Recorder) -> None:
    """The secret type of pydantic shows its value to nobody."""
    pydantic = pytest.importorskip("pydantic")
    traced(lambda x, y: x)(pydantic.SecretStr(SECRET), [pydantic.SecretStr(SECRET)])
    assert SECRET not in str(attributes(spans.one()))


class _Watcher(SpanProcessor):
    def __init__(self) -> None:
        self.at_start: list[dict[str, Any]] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.at_start.append(dict(span.attributes or {}))

    def on_end(self, span: ReadableSpan) -> None: ...


class _Chooser(Sampler):
    """Keeps the spans whose argument `keep` is true."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        *_: Any,
    ) -> SamplingResult:
        self.seen.append(dict(attributes or {}))
        keep = (attributes or {}).get(f"{keys.ARGS_PREFIX}keep", True)
        return SamplingResult(Decision.RECORD_AND_SAMPLE if keep else Decision.DROP, attributes)

    def get_description(self) -> str:
        return "Chooser"


def test_arguments_are_visible_when_the_span_starts(install: Callable[..., Recorder]) -> None:
    """A processor sees arguments and static attributes in `on_start`."""
    watcher = _Watcher()
    recorder = install(ALWAYS_ON, watcher)
    traced(attributes={"tier": "gold"})(everything)(1, [2], d=4)
    (seen,) = watcher.at_start
    assert seen[f"{keys.ARGS_PREFIX}a"] == 1
    assert decode(seen[f"{keys.ARGS_JSON_PREFIX}b"]) == [2]
    assert seen[keys.CODE_FUNCTION_NAME] == f"{__name__}.everything"
    assert seen["tier"] == "gold"
    assert args(recorder.one())["a"] == 1


def test_sampler_of_ones_own_sees_the_arguments(install: Callable[..., Recorder]) -> None:
    """A sampler that looks at attributes can decide by an argument."""
    chooser = _Chooser()
    recorder = install(chooser)

    @traced
    def work(keep: bool) -> bool:
        return keep

    assert (work(True), work(False)) == (True, False)
    assert args(recorder.one()) == {"keep": True}
    assert [seen[f"{keys.ARGS_PREFIX}keep"] for seen in chooser.seen] == [True, False]
    assert all(keys.CODE_FUNCTION_NAME in seen for seen in chooser.seen)


def test_attributes_of_the_sampler_are_on_the_span(install: Callable[..., Recorder]) -> None:
    """What a sampler adds to a span is on the span, beside the arguments."""

    class Adding(_Chooser):
        def should_sample(self, *given: Any, **named: Any) -> SamplingResult:
            decided = super().should_sample(*given, **named)
            return SamplingResult(decided.decision, {**(decided.attributes or {}), "sampler.note": "kept"})

    recorder = install(Adding())
    traced(lambda x: x)(1)
    assert attributes(recorder.one())["sampler.note"] == "kept"
    assert args(recorder.one()) == {"x": 1}


def test_attributes_can_be_a_mapping(spans: Recorder) -> None:
    """Static attributes are on every span of the function."""
    traced(attributes={"tier": "gold", "level": 3})(lambda: None)()
    assert attributes(spans.one())["tier"] == "gold"
    assert attributes(spans.one())["level"] == 3


def test_attributes_can_be_computed_from_the_arguments(spans: Recorder) -> None:
    """A callable gets the arguments by name as one mapping, defaults included, and returns attributes."""
    seen: list[dict[str, Any]] = []

    def from_arguments(arguments: Any) -> dict[str, Any]:
        seen.append(dict(arguments))
        return {"order.id": arguments["a"]["id"]}

    traced(attributes=from_arguments)(everything)({"id": 5}, 2, 3, 4, d=6, x=7)
    assert attributes(spans.one())["order.id"] == 5
    (arguments,) = seen
    assert arguments["rest"] in ((4,), [4])
    assert {name: value for name, value in arguments.items() if name != "rest"} == {
        "a": {"id": 5}, "b": 2, "c": 3, "d": 6, "e": 5, "more": {"x": 7},
    }  # fmt: skip


@pytest.mark.parametrize("option", ["attributes", "links"])
@pytest.mark.parametrize(
    "broken",
    [lambda arguments: 1 / 0, lambda arguments: 42, lambda: {"a": 1}],
    ids=["raises", "nonsense", "wrong signature"],
)
def test_broken_attribute_and_link_callables_do_not_stop_the_call(
    spans: Recorder, option: str, broken: Callable[..., Any]
) -> None:
    """When a callable of the user's fails, the function runs and its span is there."""
    assert traced(**{option: broken})(lambda x: x)(1) == 1
    assert args(spans.one()) == {"x": 1}
    assert status(spans.one()) == "UNSET"


def test_attributes_callable_is_not_called_when_unsampled(unsampled: Recorder) -> None:
    """Nothing is computed for a span that nobody keeps."""
    called: list[Any] = []
    assert traced(attributes=called.append, links=called.append)(lambda x: x)(1) == 1
    assert called == []


def test_links_can_be_given(spans: Recorder) -> None:
    """A span can point at other spans."""
    with span("other") as other:
        context = other.get_span_context()
    traced(links=[Link(context, {"why": "related"})])(lambda: 1)()
    (link,) = spans["<lambda>"].links
    assert link.context == context
    assert dict(link.attributes or {}) == {"why": "related"}


def test_links_can_be_computed_from_the_arguments(spans: Recorder) -> None:
    """A callable gets the arguments by name as one mapping and returns links."""

    @traced(capture_args=False, links=lambda arguments: [Link(arguments["message"])])
    def consume(message: trace.SpanContext) -> None: ...

    with span("producer") as producer:
        context = producer.get_span_context()
    consume(context)
    assert [link.context for link in spans["consume"].links] == [context]


def test_new_trace_is_a_root_with_a_link_to_the_caller(spans: Recorder) -> None:
    """`new_trace=True` begins a trace of its own and remembers where it came from."""

    @traced
    def inner() -> None: ...

    @traced(new_trace=True)
    def job() -> None:
        inner()

    with span("caller") as caller:
        job()
        assert trace.get_current_span() is caller
    found = spans["job"]
    assert is_root(found)
    assert found.get_span_context().trace_id != spans["caller"].get_span_context().trace_id
    assert [link.context.span_id for link in found.links] == [spans["caller"].get_span_context().span_id]
    assert is_child(spans["inner"], found)


def test_new_trace_without_a_caller_has_no_link(spans: Recorder) -> None:
    """Where there is no caller's span there is nothing to point at."""
    traced(new_trace=True)(lambda: 1)()
    assert is_root(spans.one())
    assert list(spans.one().links) == []
