"""Methods, class methods, static methods and properties, with the decorator on either side."""

import abc
import asyncio
import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from otel_tracker import attributes as keys
from otel_tracker import traced

from .helpers import Recorder, args, attributes, caught, result, short_name, status

ORDERS_CLASS: list[Callable[[Any], Any]] = [lambda f: traced(classmethod(f)), lambda f: classmethod(traced(f))]
ORDERS_STATIC: list[Callable[[Any], Any]] = [lambda f: traced(staticmethod(f)), lambda f: staticmethod(traced(f))]
ORDERS_PROPERTY: list[Callable[[Any], Any]] = [lambda f: traced(property(f)), lambda f: property(traced(f))]
IDS = ["traced outside", "traced inside"]


class Cart:
    """A module-level class, so that its names have no `<locals>`."""

    @traced
    def total(self, tax: int) -> int:
        return 10 + tax


def test_method_is_named_with_its_class(spans: Recorder) -> None:
    """The span of a method bears module, class and method."""
    assert Cart().total(1) == 11
    found = spans.one()
    assert found.name == f"{__name__}.Cart.total"
    assert attributes(found)[keys.CODE_FUNCTION_NAME] == f"{__name__}.Cart.total"
    assert attributes(found)[keys.MODULE] == __name__


def test_self_is_left_out(spans: Recorder) -> None:
    """The object itself is no argument; no attribute shows it."""

    class Secretive:
        def __repr__(self) -> str:
            raise AssertionError("nobody may look")

        @traced
        def work(self, x: int) -> int:
            return x

    assert Secretive().work(1) == 1
    assert args(spans.one()) == {"x": 1}


def test_method_through_the_class(spans: Recorder) -> None:
    """A method that is called through its class gets its object as the first argument."""
    assert Cart.total(Cart(), tax=2) == 12
    assert args(spans.one()) == {"tax": 2}


def test_method_called_wrongly_raises_the_ordinary_error(spans: Recorder) -> None:
    """A missing argument of a method is said with the method's qualified name."""
    with pytest.raises(TypeError, match=r"Cart\.total\(\) missing 1 required positional argument: 'tax'"):
        Cart().total()  # type: ignore[call-arg]


def test_bound_methods_are_equal_and_know_their_object() -> None:
    """Bound methods of a traced function behave like any others."""
    cart = Cart()
    assert cart.total == cart.total
    assert cart.total.__self__ is cart  # type: ignore[attr-defined]


def test_super_and_private_names_work(spans: Recorder) -> None:
    """Zero-argument `super()` and name-mangled attributes and parameters are found inside a traced method."""

    class Base:
        @traced
        def work(self, x: int) -> int:
            return x

    class Child(Base):
        __hidden = 5

        @traced
        def work(self, x: int, __mangled: int = 1) -> int:
            return super().work(x) + self.__hidden + __mangled

    assert Child().work(1) == 7
    assert Child().work(1, _Child__mangled=2) == 8  # type: ignore[call-arg]
    assert len(spans.finished) == 4


def test_async_method(spans: Recorder) -> None:
    """A coroutine method is traced as a coroutine function."""

    class Client:
        base = "b/"

        @traced
        async def get(self, path: str) -> str:
            await asyncio.sleep(0)
            return self.base + path

    assert asyncio.run(Client().get("x")) == "b/x"
    assert args(spans.one()) == {"path": "x"}


def test_generator_method(spans: Recorder) -> None:
    """A generator method is traced as a generator function."""

    class Numbers:
        @traced
        def upto(self, limit: int) -> Iterator[int]:
            yield from range(limit)

    assert list(Numbers().upto(2)) == [0, 1]
    assert attributes(spans.one())[keys.ITEMS] == 2


@pytest.mark.parametrize("decorate", ORDERS_CLASS, ids=IDS)
@pytest.mark.parametrize("through", [lambda c: c, lambda c: c()], ids=["class", "instance"])
def test_class_method(spans: Recorder, decorate: Callable[[Any], Any], through: Callable[[Any], Any]) -> None:
    """A class method works in either order, through the class and through an instance; `cls` is no argument."""

    class Thing:
        @decorate
        def make(cls, x: int) -> Any:
            return cls, x

    assert through(Thing).make(1) == (Thing, 1)
    assert isinstance(vars(Thing)["make"], classmethod)
    assert args(spans.one()) == {"x": 1}
    assert spans.one().name.endswith(".Thing.make")


@pytest.mark.parametrize("decorate", ORDERS_CLASS, ids=IDS)
def test_class_method_of_a_subclass(spans: Recorder, decorate: Callable[[Any], Any]) -> None:
    """A class method that a subclass inherits gets the subclass."""

    class Thing:
        @decorate
        def make(cls) -> Any:
            return cls

    class Special(Thing):
        pass

    assert Special.make() is Special
    assert len(spans.finished) == 1


@pytest.mark.parametrize("decorate", ORDERS_STATIC, ids=IDS)
@pytest.mark.parametrize("through", [lambda c: c, lambda c: c()], ids=["class", "instance"])
def test_static_method(spans: Recorder, decorate: Callable[[Any], Any], through: Callable[[Any], Any]) -> None:
    """A static method works in either order, through the class and through an instance."""

    class Thing:
        @decorate
        def add(a: int, b: int = 2) -> int:
            return a + b

    assert through(Thing).add(1) == 3
    assert isinstance(vars(Thing)["add"], staticmethod)
    assert args(spans.one()) == {"a": 1, "b": 2}


@pytest.mark.parametrize("decorate", ORDERS_CLASS, ids=IDS)
def test_async_class_method(spans: Recorder, decorate: Callable[[Any], Any]) -> None:
    """A coroutine class method can be awaited in either order."""

    class Thing:
        @decorate
        async def make(cls, x: int) -> Any:
            await asyncio.sleep(0)
            return cls, x

    assert asyncio.run(Thing.make(1)) == (Thing, 1)
    assert args(spans.one()) == {"x": 1}


@pytest.mark.parametrize("decorate", ORDERS_PROPERTY, ids=IDS)
def test_property(spans: Recorder, decorate: Callable[[Any], Any]) -> None:
    """A decorated property stays a property; each reading is a call."""

    class Circle:
        @decorate
        def area(self) -> int:
            """The area."""
            return 3

    assert Circle().area == 3
    assert isinstance(vars(Circle)["area"], property)
    assert vars(Circle)["area"].__doc__ == "The area."
    assert spans.one().name.endswith(".Circle.area")


@pytest.mark.parametrize("decorate", ORDERS_PROPERTY, ids=IDS)
def test_property_keeps_its_setter(spans: Recorder, decorate: Callable[[Any], Any]) -> None:
    """A setter can be added to a decorated property, and a decorated property keeps the one that it has."""

    class Circle:
        def __init__(self) -> None:
            self._radius = 1

        @decorate
        def radius(self) -> int:
            return self._radius

        @radius.setter
        def radius(self, value: int) -> None:
            self._radius = value

    circle = Circle()
    circle.radius = 5
    assert circle.radius == 5


def test_property_with_setter_and_deleter_decorated_as_a_whole(spans: Recorder) -> None:
    """Tracing a complete property loses neither setter nor deleter."""

    class Circle:
        radius_ = 1

        def _get(self) -> int:
            return self.radius_

        def _set(self, value: int) -> None:
            self.radius_ = value

        def _delete(self) -> None:
            self.radius_ = 0

        radius = traced(property(_get, _set, _delete, "The radius."))

    circle = Circle()
    circle.radius = 5
    assert circle.radius == 5
    del circle.radius
    assert circle.radius == 0


def test_property_that_raises_attribute_error(spans: Recorder) -> None:
    """An AttributeError out of a property falls through to `__getattr__`, as without the decorator."""

    class Lazy:
        @property
        @traced
        def value(self) -> int:
            raise AttributeError("not yet")

        def __getattr__(self, name: str) -> str:
            return f"fallback {name}"

    assert Lazy().value == "fallback value"
    assert status(spans.one()) == "ERROR"


def test_cached_property_with_traced_inside(spans: Recorder) -> None:
    """A cached property computes once, so it makes one span."""

    class Report:
        @functools.cached_property
        @traced
        def rows(self) -> list[int]:
            return [1]

    report = Report()
    assert report.rows is report.rows
    assert spans.names == ["rows"]


def test_cached_property_with_traced_outside(spans: Recorder) -> None:
    """A decorated cached property still computes once and stores its value in the object."""

    class Report:
        @traced
        @functools.cached_property
        def rows(self) -> list[int]:
            return [1]

    report = Report()
    assert report.rows is report.rows
    assert vars(report)["rows"] is report.rows
    del report.rows
    assert report.rows == [1]
    assert spans.names == ["rows", "rows"]


def test_partial_method(spans: Recorder) -> None:
    """A partial method of a traced method finds its object."""

    class Light:
        @traced
        def switch(self, on: bool) -> bool:
            return on

        switch_on = functools.partialmethod(switch, True)

    assert Light().switch_on() is True
    assert args(spans.one()) == {"on": True}


def test_method_that_is_assigned_later(spans: Recorder) -> None:
    """A traced function that becomes a method by assignment binds like any function."""

    class Bag:
        pass

    @traced
    def size(self: Bag, factor: int) -> int:
        return 2 * factor

    Bag.size = size  # type: ignore[attr-defined]
    assert Bag().size(3) == 6  # type: ignore[attr-defined]
    assert args(spans.one())["factor"] == 3


def test_options_reach_the_function_inside_a_descriptor(spans: Recorder) -> None:
    """Options given outside a class method hold for the function inside."""

    class Thing:
        @traced("made", capture_result=True, hide=("key",))
        @classmethod
        def make(cls, key: str) -> int:
            return 1

    assert Thing.make("k") == 1
    assert short_name(spans.one()) == "made"
    assert result(spans.one()) == 1
    assert args(spans.one()) == {"key": "[redacted]"}


@pytest.mark.parametrize("decorate", [*ORDERS_CLASS, *ORDERS_STATIC])
def test_exception_in_a_descriptor_is_the_very_object(spans: Recorder, decorate: Callable[[Any], Any]) -> None:
    """An exception comes out of class methods and static methods unchanged."""
    error = ValueError("x")

    class Thing:
        @decorate
        def fail(*values: Any) -> None:
            raise error

    assert caught(Thing.fail) is error
    assert status(spans.one()) == "ERROR"


@pytest.mark.parametrize(
    "decorate", [lambda f: traced(abc.abstractmethod(f)), lambda f: abc.abstractmethod(traced(f))], ids=IDS
)
def test_abstract_method(spans: Recorder, decorate: Callable[[Any], Any]) -> None:
    """An abstract method stays abstract in either order."""

    class Shape(abc.ABC):  # noqa: B024 (the decorator makes it so)
        @decorate
        def area(self) -> int:
            return 1

    class Square(Shape):
        def area(self) -> int:
            return 1 + super().area()

    with pytest.raises(TypeError, match="abstract"):
        Shape()
    assert Square().area() == 2
    assert spans.names == ["area"]
