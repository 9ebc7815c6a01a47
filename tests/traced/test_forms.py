"""The ways to apply `traced`, the name of the span, and the attributes that say which function it was."""

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from otel_tracker import attributes as keys
from otel_tracker import traced

from .helpers import Recorder, args, attributes, result


def module_level(x: int) -> int:
    """Stands for any function of a module."""
    return x + 1


@pytest.mark.parametrize(
    "apply",
    [lambda f: traced(f), lambda f: traced()(f), lambda f: traced("module_level")(f), lambda f: traced(name="m")(f)],
    ids=["@traced", "@traced()", "@traced(text)", "@traced(name=)"],
)
def test_every_form_makes_one_span_a_call(spans: Recorder, apply: Callable[[Any], Any]) -> None:
    """However the decorator is written, one call is one span and the result comes through."""
    assert apply(module_level)(1) == 2
    assert args(spans.one()) == {"x": 1}


def test_name_is_module_and_qualified_name(spans: Recorder) -> None:
    """Without a name of one's own, the span is called like the function, with its module."""
    traced(module_level)(1)
    assert spans.one().name == f"{__name__}.module_level"


def test_name_of_an_inner_function_leaves_locals_out(spans: Recorder) -> None:
    """The marker `<locals>`, which Python puts into qualified names, is no part of the span's name."""

    @traced
    def inner() -> None: ...

    inner()
    assert spans.one().name == f"{__name__}.test_name_of_an_inner_function_leaves_locals_out.inner"


@pytest.mark.parametrize("decorator", [traced("checkout"), traced(name="checkout")], ids=["positional", "keyword"])
def test_name_can_be_given(spans: Recorder, decorator: Callable[[Any], Any]) -> None:
    """A given name is taken as it is; the function's own name stays in the attributes."""
    decorator(module_level)(1)
    assert spans.one().name == "checkout"
    assert attributes(spans.one())[keys.CODE_FUNCTION_NAME] == f"{__name__}.module_level"


def test_attributes_say_where_the_function_stands(spans: Recorder) -> None:
    """Function, file, line and module are on every span of a Python function."""
    traced(module_level)(1)
    found = attributes(spans.one())
    assert found[keys.CODE_FUNCTION_NAME] == f"{__name__}.module_level"
    assert found[keys.CODE_FILE_PATH] == __file__
    assert found[keys.CODE_LINE_NUMBER] == module_level.__code__.co_firstlineno
    assert found[keys.MODULE] == __name__


def test_code_function_name_leaves_locals_out(spans: Recorder) -> None:
    """The fully qualified name in the attributes is the one of the span's default name."""

    @traced("other")
    def inner() -> None: ...

    inner()
    expected = f"{__name__}.test_code_function_name_leaves_locals_out.inner"
    assert attributes(spans.one())[keys.CODE_FUNCTION_NAME] == expected


def test_scope_is_this_package(spans: Recorder) -> None:
    """Spans can be told from other libraries' spans by their instrumentation scope."""
    traced(module_level)(1)
    scope = spans.one().instrumentation_scope
    assert scope is not None
    assert scope.name == keys.SCOPE == "otel_tracker"


def test_kind_is_internal_by_default(spans: Recorder) -> None:
    """An ordinary function is neither a client nor a server."""
    traced(module_level)(1)
    assert spans.one().kind is SpanKind.INTERNAL


@pytest.mark.parametrize("kind", list(SpanKind), ids=lambda kind: kind.name)
def test_kind_is_a_span_kind_or_its_name(spans: Recorder, kind: SpanKind) -> None:
    """A kind can be given as OTel's own enum or as its lower-case name."""
    traced(kind=kind)(module_level)(1)
    traced(kind=kind.name.lower())(module_level)(1)
    assert [span.kind for span in spans.finished] == [kind, kind]


def test_lambda_is_traced(spans: Recorder) -> None:
    """A function without a name is called `<lambda>`, as everywhere in Python."""
    double = traced(lambda x: x * 2)
    assert double(4) == 8
    assert spans.one().name == f"{__name__}.test_lambda_is_traced.<lambda>"
    assert args(spans.one()) == {"x": 4}


def test_partial_is_named_by_the_function_inside(spans: Recorder) -> None:
    """A partial has no name of its own, so the function that it calls lends its name."""

    def power(base: int, exponent: int) -> int:
        return base**exponent

    assert traced(functools.partial(power, 2))(5) == 32
    span = spans.one()
    assert span.name == f"{__name__}.test_partial_is_named_by_the_function_inside.power"
    assert args(span)["exponent"] == 5


def test_partial_of_a_partial_is_named_by_the_innermost_function(spans: Recorder) -> None:
    """However often a function was specialised, its name is found."""
    nested = functools.partial(functools.partial(module_level), 3)
    assert traced(nested)() == 4
    assert spans.one().name == f"{__name__}.module_level"


def test_partial_with_keywords_can_be_overridden(spans: Recorder) -> None:
    """Keywords of a partial stay defaults that a call may replace."""

    def greet(name: str, *, mark: str) -> str:
        return name + mark

    call = traced(functools.partial(greet, mark="!"))
    assert (call("a"), call("a", mark="?")) == ("a!", "a?")
    assert len(spans.finished) == 2


def test_callable_object_is_named_by_its_class(spans: Recorder) -> None:
    """An object with `__call__` is traced under the name of its class; the object is no argument."""

    class Adder:
        def __call__(self, a: int, b: int) -> int:
            return a + b

    assert traced(Adder())(1, b=2) == 3
    span = spans.one()
    assert span.name == f"{__name__}.test_callable_object_is_named_by_its_class.Adder"
    assert args(span) == {"a": 1, "b": 2}


def test_partials_and_objects_of_every_kind(spans: Recorder) -> None:
    """Partials of coroutine functions and objects with an async or generating `__call__` keep their kind."""

    async def fetch(a: int, b: int) -> int:
        await asyncio.sleep(0)
        return a + b

    def count(a: int, b: int) -> Iterator[int]:
        yield from (a, b)

    class Fetcher:
        async def __call__(self, a: int) -> int:
            await asyncio.sleep(0)
            assert spans.names == ["fetch", "count"]
            return a

    class Counter:
        def __call__(self, a: int) -> Iterator[int]:
            yield a

    assert asyncio.run(traced(functools.partial(fetch, 1))(2)) == 3
    assert list(traced(functools.partial(count, 1))(2)) == [1, 2]
    assert asyncio.run(traced(Fetcher())(5)) == 5
    assert list(traced(Counter())(5)) == [5]
    assert spans.names == ["fetch", "count", "Fetcher", "Counter"]
    assert attributes(spans["count"])[keys.ITEMS] == 2
    assert attributes(spans["Counter"])[keys.ITEMS] == 1


def test_bound_method_is_traced_without_touching_its_class(spans: Recorder) -> None:
    """Tracing one bound method leaves the class and other objects as they were."""

    class Cart:
        def add(self, item: str) -> str:
            return item

    cart = Cart()
    assert traced(cart.add)("tea") == "tea"
    assert cart.add("milk") == "milk"
    assert args(spans.one()) == {"item": "tea"}


def test_builtin_is_traced(spans: Recorder) -> None:
    """Functions written in C have no signature or no file, and can be traced all the same."""
    assert traced(len)([1, 2, 3]) == 3
    assert spans.one().name == "builtins.len"


@pytest.mark.parametrize(
    ("function", "values", "expected"),
    [(max, (1, 2), 2), (dict.get, ({"a": 1}, "a"), 1), (str.upper, ("a",), "A"), (print, (), None), (min, ([3],), 3)],
    ids=["max", "dict.get", "str.upper", "print", "min"],
)
def test_builtins_without_a_signature_keep_working(
    spans: Recorder, function: Callable[..., Any], values: tuple[Any, ...], expected: Any
) -> None:
    """Whatever Python knows of a C function's parameters, a call is forwarded as it was made."""
    assert traced(function)(*values) == expected
    assert len(spans.finished) == 1


def test_cached_function_keeps_its_cache(spans: Recorder) -> None:
    """Tracing a function that has a cache leaves the cache and its methods in place."""

    @traced
    @functools.lru_cache(maxsize=8)
    def square(x: int) -> int:
        return x * x

    assert [square(3), square(3)] == [9, 9]
    assert square.cache_info().hits == 1
    square.cache_clear()
    assert square.cache_info().hits == 0
    assert spans.names == ["square", "square"]


def test_cache_outside_calls_through_once(spans: Recorder) -> None:
    """A cache around a traced function saves the spans of the calls that it answers."""

    @functools.lru_cache(maxsize=8)
    @traced
    def square(x: int) -> int:
        return x * x

    assert [square(3), square(3)] == [9, 9]
    assert spans.names == ["square"]


def test_single_dispatch_keeps_its_registry(spans: Recorder) -> None:
    """Tracing a single-dispatch function leaves `register` usable."""

    @traced
    @functools.singledispatch
    def show(value: object) -> str:
        return "object"

    @show.register
    def _(value: int) -> str:
        return "int"

    assert (show("a"), show(1)) == ("object", "int")
    assert spans.names == ["show", "show"]


def test_second_application_makes_one_span(spans: Recorder) -> None:
    """Decorating twice by accident does not make two spans a call."""
    assert traced(traced(module_level))(1) == 2
    assert len(spans.finished) == 1


def test_second_application_merges_the_options(spans: Recorder) -> None:
    """What either application asked for is in force."""
    decorated = traced(capture_result=True)(traced("first")(module_level))
    assert decorated(1) == 2
    assert spans.one().name == "first"
    assert result(spans.one()) == 2


def test_second_application_leaves_the_first_result_usable(spans: Recorder) -> None:
    """Merging is done on what is returned; the function that was decorated first keeps its behaviour."""
    first = traced("first")(module_level)
    second = traced("second")(first)
    assert second(1) == first(1) == 2
    assert [span.name for span in spans.finished] == ["second", "first"]


def test_second_application_keeps_the_original_as_wrapped(spans: Recorder) -> None:
    """However often it was decorated, unwrapping leads to the user's function."""
    assert inspect.unwrap(traced(traced(module_level))) is module_level


def test_decorator_in_between_is_kept(spans: Recorder) -> None:
    """`functools.wraps` copies marks of the inner function; the decorator that used it must not be lost."""

    def doubled(function: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> int:
            return 2 * function(*args, **kwargs)

        return wrapper

    decorated = traced(doubled(traced(module_level)))
    assert decorated(1) == 4
    assert "module_level" in spans.names


def test_decorating_makes_no_copy_of_the_function(spans: Recorder) -> None:
    """The original stays as it was and can be called without a span."""
    traced(module_level)
    assert module_level(1) == 2
    assert spans.finished == []


def test_nested_calls_are_parent_and_child(spans: Recorder) -> None:
    """A traced function that calls another one is its parent."""

    @traced
    def inner() -> None: ...

    @traced
    def outer() -> None:
        inner()

    outer()
    assert spans["inner"].parent is not None
    assert spans["inner"].parent.span_id == spans["outer"].get_span_context().span_id
    assert spans["outer"].parent is None


@pytest.mark.parametrize(
    ("decorate", "word"),
    [
        (lambda: traced(42), "42"),
        (lambda: traced(""), "name"),
        (lambda: traced(name=""), "name"),
        (lambda: traced(name=42), "42"),
        (lambda: traced(nonsense=1), "nonsense"),
        (lambda: traced(capture_args=["nope"])(module_level), "nope"),
        (lambda: traced(hide=("nope",))(module_level), "nope"),
        (lambda: traced(kind="sideways"), "sideways"),
        (lambda: traced(kind=42), "42"),
        (lambda: traced(ignore=("ValueError",)), "ValueError"),
        (lambda: traced(expected=(42,)), "42"),
        (lambda: traced(attributes=42), "42"),
        (lambda: traced(links=42), "42"),
    ],
    ids=[
        "no callable", "empty name", "empty name=", "name=42", "unknown option", "capture_args", "hide", "kind text",
        "kind number", "ignore", "expected", "attributes", "links",
    ],
)  # fmt: skip
def test_wrong_option_raises_when_decorating(decorate: Callable[[], Any], word: str) -> None:
    """A mistake in the decorator is said at once, in a sentence that names what was wrong."""

    def apply() -> None:
        decorated = decorate()
        if callable(decorated):
            decorated(module_level)

    with pytest.raises((TypeError, ValueError)) as caught:
        apply()
    assert word in str(caught.value)
    assert len(str(caught.value).split()) >= 4
