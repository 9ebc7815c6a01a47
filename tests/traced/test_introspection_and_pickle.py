"""A decorated function looks like the original to `inspect`, to frameworks, and to pickle."""

import copy
import functools
import inspect
import multiprocessing
import pickle
import typing
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from otel_tracker import traced

from .helpers import REDACTED, Recorder, args


def documented(a: int, /, b: "str" = "x", *rest: float, c: bool, d: Any = (), **more: int) -> "list[int]":
    """Says something."""
    return [a]


async def coroutine(a: int, *, b: int = 2) -> int:
    """Says something else."""
    return a


def generator(a: int) -> Iterator[int]:
    """Says a third thing."""
    yield a


async def async_generator(a: int = 1) -> AsyncIterator[int]:
    """Says a fourth thing."""
    yield a


FUNCTIONS = [documented, coroutine, generator, async_generator]
every_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)


@traced
def by_reference(x: int) -> int:
    """For pickling: decorated under its own name."""
    return x + 1


@traced("renamed", capture_result=True)
async def async_by_reference(x: int) -> int:
    """For pickling, too."""
    return x + 1


@every_function
def test_names_and_documentation_are_kept(function: Any) -> None:
    """What describes a function is the same on the decorated one."""
    decorated = traced(function)
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        assert getattr(decorated, name) == getattr(function, name)


@every_function
def test_signature_and_defaults_are_kept(function: Any) -> None:
    """Parameters, annotations and defaults are the same on the decorated function."""
    decorated = traced(function)
    assert inspect.signature(decorated) == inspect.signature(function)
    assert str(inspect.signature(decorated)) == str(inspect.signature(function))
    assert decorated.__annotations__ == function.__annotations__
    assert decorated.__defaults__ == function.__defaults__
    assert decorated.__kwdefaults__ == function.__kwdefaults__
    assert typing.get_type_hints(decorated) == typing.get_type_hints(function)


@every_function
def test_own_signature_takes_the_same_parameters(function: Any) -> None:
    """Tools that do not follow `__wrapped__` find the same names as well."""
    decorated = traced(function)
    own = inspect.signature(decorated, follow_wrapped=False)
    assert list(own.parameters) == list(inspect.signature(function).parameters)
    assert [p.kind for p in own.parameters.values()] == [
        p.kind for p in inspect.signature(function).parameters.values()
    ]
    assert inspect.getfullargspec(decorated).args == inspect.getfullargspec(function).args


@every_function
def test_original_can_be_unwrapped(function: Any) -> None:
    """`__wrapped__` is the user's function, and its source is found."""
    decorated = traced(function)
    assert decorated.__wrapped__ is function
    assert inspect.unwrap(decorated) is function
    assert inspect.getsource(decorated) == inspect.getsource(function)


@every_function
def test_nature_is_kept(function: Any) -> None:
    """Coroutine functions, generator functions and plain functions stay what they are."""
    decorated = traced(function)
    assert inspect.isfunction(decorated)
    for question in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        assert question(decorated) == question(function)


def test_attributes_of_the_function_are_kept() -> None:
    """What other decorators noted on the function is still there, and can be added to."""

    def view() -> None: ...

    view.route = "/x"  # type: ignore[attr-defined]
    decorated = traced(view)
    assert decorated.route == "/x"  # type: ignore[attr-defined]
    decorated.methods = ["GET"]  # type: ignore[attr-defined]
    assert not hasattr(view, "methods")


def test_defaults_are_the_very_objects(spans: Recorder) -> None:
    """A mutable default is shared between calls, as without the decorator."""

    @traced
    def append(item: int, items: list[int] = []) -> list[int]:  # noqa: B006 (that is what is tested)
        items.append(item)
        return items

    assert append(1) is append(2)
    assert append(3) == [1, 2, 3]
    assert args(spans.finished[-1]) == {"item": 3, "items": [1, 2]}


def test_default_of_any_sort_is_passed_on(spans: Recorder) -> None:
    """Defaults that lie about equality or can't be written down arrive as they are."""

    class Odd:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("not comparable")

        __hash__ = None  # type: ignore[assignment]

        def __repr__(self) -> str:
            raise RuntimeError("no text")

    odd = Odd()
    returned = traced(lambda x=odd, *, y=odd: (x, y))()
    assert returned[0] is odd
    assert returned[1] is odd


AWKWARD = [
    "def f(_ot_fn): return _ot_fn",
    "def f(span): return span",
    "def f(type): return type",
    "def f(self): return self",
    "def f(cls): return cls",
    "def f(function): return function",
    "def f(fn): return fn",
    "def f(func): return func",
    "def f(args): return args",
    "def f(kwargs): return kwargs",
    "def f(name): return name",
    "def f(tracer): return tracer",
    "def f(context): return context",
    "def f(token): return token",
    "def f(result): return result",
    "def f(exc): return exc",
    "def f(error): return error",
    "def f(execution): return execution",
    "def f(engine): return engine",
    "def f(spec): return spec",
    "def f(attributes): return attributes",
    "def f(BaseException): return BaseException",
    "def f(dict): return dict",
    "def f(_): return _",
    "def f(__x): return __x",
    "def f(__class__): return __class__",
    "def f(größe): return größe",
    "def f(f): return f",
    "def f(print): return print",
    "def f(call): return call",
    "def f(values): return values",
    "def f(enabled): return enabled",
    "def f(state): return state",
]


@pytest.mark.parametrize("source", AWKWARD, ids=[source[6 : source.index(")")] for source in AWKWARD])
@pytest.mark.parametrize("nature", ["", "async ", "generator"])
def test_awkward_parameter_names_work(spans: Recorder, source: str, nature: str) -> None:
    """A parameter may bear any name, also one that a generated wrapper might use itself."""
    if nature == "generator":
        source = source.replace("return", "yield")
    namespace: dict[str, Any] = {"__name__": __name__}
    exec(nature.replace("generator", "") + source, namespace)
    (name,) = inspect.signature(namespace["f"]).parameters
    decorated = traced(namespace["f"])
    assert [_finish(decorated(5)), _finish(decorated(**{name: 6}))] == [5, 6]
    if name == "token":  # it works like any other, and its value is a secret
        assert [args(span) for span in spans.finished] == [{name: REDACTED}] * 2
    elif name not in ("self", "cls"):
        assert [args(span) for span in spans.finished] == [{name: 5}, {name: 6}]


def _finish(value: Any) -> Any:
    if inspect.iscoroutine(value):
        with pytest.raises(StopIteration) as stop:
            value.send(None)
        return stop.value.value
    return next(iter(list(value))) if inspect.isgenerator(value) else value


def test_positional_only_and_keyword_of_the_same_name(spans: Recorder) -> None:
    """A positional-only parameter leaves its name free for a keyword."""

    @traced
    def work(x: int, /, **more: int) -> tuple[int, dict[str, int]]:
        return x, more

    assert work(1, x=2) == (1, {"x": 2})
    assert args(spans.one()) == {"x": 1, "more": {"x": 2}}


def test_keyword_only_parameters(spans: Recorder) -> None:
    """Keyword-only parameters are passed on by keyword."""

    @traced
    def work(*, b: int, a: int = 1) -> tuple[int, int]:
        return a, b

    assert work(b=2) == (1, 2)
    with pytest.raises(TypeError, match="takes 0 positional arguments"):
        work(1)  # type: ignore[call-arg, misc]
    assert args(spans.one()) == {"a": 1, "b": 2}


def test_function_with_many_parameters(spans: Recorder) -> None:
    """A function with more than 255 parameters is decorated like any other."""
    names = [f"p{number}" for number in range(300)]
    namespace: dict[str, Any] = {}
    exec(f"def wide({', '.join(names)}): return p0 + p299", namespace)
    assert traced(capture_args=False)(namespace["wide"])(*range(300)) == 299
    assert len(spans.finished) == 1


@pytest.mark.parametrize("function", [by_reference, async_by_reference], ids=["function", "coroutine function"])
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_function_is_pickled_by_reference(function: Any, protocol: int) -> None:
    """A decorated module-level function survives pickle as the same object."""
    assert pickle.loads(pickle.dumps(function, protocol)) is function


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy])
def test_function_can_be_copied(spans: Recorder, copier: Callable[[Any], Any]) -> None:
    """Copying a decorated function, or an object that holds one, works."""
    holder = copier({"f": by_reference})
    assert holder["f"](1) == 2
    assert spans.names == ["by_reference"]


def test_function_survives_cloudpickle(spans: Recorder) -> None:
    """A decorated local function holds nothing that can't be sent to another process."""
    cloudpickle = pytest.importorskip("cloudpickle")
    offset = 10

    @traced("sent", capture_result=True)
    def local(x: int) -> int:
        return x + offset

    assert local(1) == 11
    received = cloudpickle.loads(cloudpickle.dumps(local))
    assert received(2) == 12
    assert [args(span) for span in spans.finished] == [{"x": 1}, {"x": 2}]
    assert [span.name for span in spans.finished] == ["sent", "sent"]


@pytest.mark.parametrize(
    "form",
    [lambda: 1, generator, coroutine, async_generator, functools.partial(documented, 1), len, type("Made", (), {})],
    ids=["lambda", "generator", "coroutine", "async generator", "partial", "builtin", "class"],
)
def test_every_form_survives_cloudpickle(form: Any) -> None:
    """Nothing that the decorator returns captures a lock or a provider."""
    cloudpickle = pytest.importorskip("cloudpickle")
    assert callable(cloudpickle.loads(cloudpickle.dumps(traced(form))))


@pytest.mark.slow
def test_function_runs_in_a_spawned_process() -> None:
    """A decorated function can be sent to a process that starts afresh."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(by_reference, [1, 2]) == [2, 3]


def test_update_wrapper_on_top_keeps_both(spans: Recorder) -> None:
    """A decorator of somebody else's on top of ours finds what it copies."""

    @functools.wraps(by_reference)
    def on_top(x: int) -> int:
        return by_reference(x) * 2

    assert on_top(1) == 4
    assert on_top.__wrapped__ is by_reference
    assert on_top.__name__ == "by_reference"


def test_decorated_function_is_collected(spans: Recorder) -> None:
    """Functions that are decorated on the fly are freed when nobody holds them."""
    import gc
    import weakref

    def local() -> None: ...

    decorated = traced(local)
    decorated()
    gone = weakref.ref(local)
    del local, decorated
    gc.collect()
    assert gone() is None
