"""A decorated class is the same class, with its own plain methods traced."""

import abc
import copy
import dataclasses
import enum
import pickle
import typing
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

import pytest

from otel_tracker import traced

from .helpers import Recorder, args, result


def make_calculator(**options: Any) -> Any:  # noqa: C901 (one method of every sort)
    """A class with one method of every sort, decorated."""

    class Calculator:
        factor = 2

        def __init__(self, start: int = 0) -> None:
            self.start = start

        def __call__(self, x: int) -> int:
            return x

        def __len__(self) -> int:
            return 1

        def __repr__(self) -> str:
            return "Calculator()"

        def add(self, x: int) -> int:
            return self.start + x

        def sub(self, x: int) -> int:
            return self.start - x

        def _secret(self) -> str:
            return "s"

        def __mangled(self) -> str:
            return "m"

        def through_mangled(self) -> str:
            return self.__mangled()

        @classmethod
        def make(cls) -> Any:
            return cls

        @staticmethod
        def double(x: int) -> int:
            return 2 * x

        @property
        def value(self) -> int:
            return self.start

        async def fetch(self) -> int:
            return 1

        def numbers(self) -> Iterator[int]:
            yield 1

        class Nested:
            def work(self) -> int:
                return 1

    assert traced(**options)(Calculator) is Calculator
    return Calculator


@traced
class Account:
    """A module-level class, for pickling."""

    def __init__(self, owner: str) -> None:
        self.owner = owner

    def rename(self, owner: str) -> str:
        self.owner = owner
        return owner


def test_class_stays_the_same_object(spans: Recorder) -> None:
    """The decorator returns the class that it was given: `isinstance` and identity hold."""

    class Plain:
        pass

    assert traced(Plain) is Plain
    assert traced()(Plain) is Plain
    assert isinstance(Plain(), Plain)


def test_plain_class_and_static_methods_are_traced(spans: Recorder) -> None:
    """Own plain methods, class methods and static methods each make a span."""
    calculator = make_calculator()
    assert calculator(1).add(2) == 3
    assert calculator.make() is calculator
    assert calculator().make() is calculator
    assert calculator.double(2) == calculator().double(2) == 4
    assert spans.names == ["add", "make", "make", "double", "double"]


def test_call_is_traced_and_other_dunders_are_not(spans: Recorder) -> None:
    """Of the special methods only `__call__` is traced."""
    instance = make_calculator()(3)
    assert len(instance) == 1
    assert repr(instance) == "Calculator()"
    assert spans.names == []
    assert instance(5) == 5
    assert spans.names == ["__call__"]


def test_async_and_generator_methods_are_traced(spans: Recorder) -> None:
    """The kind of each method decides how it is traced."""
    instance = make_calculator()()
    with pytest.raises(StopIteration, match="1"):
        instance.fetch().send(None)
    assert list(instance.numbers()) == [1]
    assert spans.names == ["fetch", "numbers"]


def test_properties_are_skipped(spans: Recorder) -> None:
    """Reading a property of a decorated class makes no span."""
    assert make_calculator()(3).value == 3
    assert spans.names == []


def test_private_methods_are_skipped(spans: Recorder) -> None:
    """Methods with a leading underscore are details that a class decorator leaves alone."""
    instance = make_calculator()()
    assert instance._secret() == "s"
    assert instance.through_mangled() == "m"
    assert spans.names == ["through_mangled"]


def test_nested_classes_are_skipped(spans: Recorder) -> None:
    """A class inside a decorated class is a class of its own."""
    assert make_calculator().Nested().work() == 1
    assert spans.names == []


def test_inherited_methods_are_skipped(spans: Recorder) -> None:
    """Methods of a base class that is not decorated stay as they are."""

    class Base:
        def inherited(self) -> int:
            return 1

    @traced
    class Child(Base):
        def own(self) -> int:
            return self.inherited()

    assert Child().own() == 1
    assert Base().inherited() == 1
    assert spans.names == ["own"]
    assert "inherited" not in vars(Child)


def test_subclass_is_not_traced(spans: Recorder) -> None:
    """A subclass of a decorated class is not decorated itself; what it inherits is traced."""

    @traced
    class Base:
        def base(self) -> int:
            return 1

    class Child(Base):
        def child(self) -> int:
            return 2

    assert (Child().base(), Child().child()) == (1, 2)
    assert spans.names == ["base"]


def test_include_names(spans: Recorder) -> None:
    """With `include` only the methods that it names are traced."""
    instance = make_calculator(include=("add",))()
    instance.add(1)
    instance.sub(1)
    assert spans.names == ["add"]


def test_include_globs(spans: Recorder) -> None:
    """`include` takes globs."""
    instance = make_calculator(include=("a*", "dou*"))()
    instance.add(1)
    instance.sub(1)
    instance.double(1)
    assert spans.names == ["add", "double"]


def test_include_may_name_a_private_method(spans: Recorder) -> None:
    """A private method is traced when it is asked for by name."""
    assert make_calculator(include=("_secret",))()._secret() == "s"
    assert spans.names == ["_secret"]


def test_include_may_name_the_constructor(spans: Recorder) -> None:
    """`__init__` is traced when it is asked for by name."""
    assert make_calculator(include=("__init__",))(3).start == 3
    assert spans.names == ["__init__"]
    assert args(spans.one()) == {"start": 3}


def test_exclude_names_and_globs(spans: Recorder) -> None:
    """Methods that `exclude` names stay as they are."""
    instance = make_calculator(exclude=("sub", "d*"))()
    instance.add(1)
    instance.sub(1)
    instance.double(1)
    assert spans.names == ["add"]


def test_exclude_wins_over_include(spans: Recorder) -> None:
    """A method that is both included and excluded is not traced."""
    instance = make_calculator(include=("*",), exclude=("add",))()
    instance.add(1)
    instance.sub(1)
    assert spans.names == ["sub"]


def test_options_hold_for_all_methods(spans: Recorder) -> None:
    """Options of the class decorator are options of each method."""
    instance = make_calculator(capture_result=True, capture_args=False)(1)
    instance.add(1)
    assert result(spans.one()) == 2
    assert args(spans.one()) == {}


def test_hide_need_not_fit_every_method(spans: Recorder) -> None:
    """A name to hide that only some methods know is no mistake on a class."""

    @traced(hide=("pin",))
    class Card:
        def pay(self, pin: str, amount: int) -> int:
            return amount

        def show(self) -> str:
            return "card"

    Card().pay("1234", 5)
    Card().show()
    assert args(spans["pay"]) == {"pin": "[redacted]", "amount": 5}


def test_decorated_method_of_a_decorated_class_makes_one_span(spans: Recorder) -> None:
    """A method that is decorated itself keeps its own name and is traced once."""

    @traced
    class Shop:
        @traced("checkout")
        def buy(self) -> int:
            return 1

    assert Shop().buy() == 1
    assert [span.name for span in spans.finished] == ["checkout"]


def test_super_works_in_a_decorated_class(spans: Recorder) -> None:
    """Zero-argument `super()` finds the class, because the class is the same."""

    class Base:
        def work(self) -> str:
            return "base"

    @traced
    class Child(Base):
        def work(self) -> str:
            return "child of " + super().work()

    assert Child().work() == "child of base"
    assert spans.names == ["work"]


def test_class_attributes_stay(spans: Recorder) -> None:
    """Attributes that are no methods are the very objects that they were."""
    marker = object()

    @traced
    class Holder:
        thing = marker
        kind = int
        function = len
        table: typing.ClassVar[dict[str, Callable[..., Any]]] = {"len": len}

    assert Holder.thing is marker
    assert Holder.kind is int
    assert Holder.table["len"] is len
    assert Holder.function([1]) == 1


@pytest.mark.parametrize("copier", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy])
def test_instances_can_be_pickled_and_copied(spans: Recorder, copier: Callable[[Any], Any]) -> None:
    """Instances of a decorated class survive pickle and copy, and so does the class."""
    account = copier(Account("ann"))
    assert type(account) is Account
    assert account.rename("bob") == "bob"
    assert copier(Account) is Account
    assert spans.names == ["rename"]


@pytest.mark.parametrize("slots", [False, True], ids=["dict", "slots"])
@pytest.mark.parametrize("frozen", [False, True], ids=["mutable", "frozen"])
@pytest.mark.parametrize("traced_first", [False, True], ids=["traced outside", "traced inside"])
def test_dataclasses(spans: Recorder, slots: bool, frozen: bool, traced_first: bool) -> None:
    """Data classes of every sort keep their fields, equality and replacement; methods are traced."""

    class Point:
        x: int
        y: int = 2

        def norm(self) -> int:
            return self.x + self.y

    make = dataclasses.dataclass(slots=slots, frozen=frozen)
    decorated: Any = make(traced(Point)) if traced_first else traced(make(Point))
    point = decorated(1)
    assert point.norm() == 3
    assert point == decorated(1, 2)
    assert dataclasses.replace(point, x=5).norm() == 7
    assert [field.name for field in dataclasses.fields(decorated)] == ["x", "y"]
    assert dataclasses.asdict(point) == {"x": 1, "y": 2}
    assert hasattr(point, "__dict__") is not slots
    assert spans.names == ["norm", "norm"]


def test_enums(spans: Recorder) -> None:
    """An enumeration keeps its members; its methods are traced."""

    @traced
    class Color(enum.Enum):
        RED = 1
        GREEN = 2

        def describe(self) -> str:
            return f"{self.name}!"

        @classmethod
        def default(cls) -> "Color":
            return cls.RED

    assert [member.name for member in Color] == ["RED", "GREEN"]
    assert Color(1) is Color.RED is Color.default()
    assert Color.GREEN.describe() == "GREEN!"
    assert spans.names == ["default", "describe"]


def test_protocols(spans: Recorder) -> None:
    """A runtime-checkable protocol still recognises what fulfils it, and nothing else."""

    @traced
    @runtime_checkable
    class Walker(Protocol):
        def walk(self) -> str: ...

    class Dog:
        def walk(self) -> str:
            return "dog"

    class Fish:
        pass

    class Cat(Walker):
        pass

    assert isinstance(Dog(), Walker)
    assert not isinstance(Fish(), Walker)
    assert issubclass(Dog, Walker)
    assert isinstance(Cat(), Walker)


def test_named_tuples(spans: Recorder) -> None:
    """A named tuple keeps fields, equality with tuples and its helpers."""

    @traced
    class Point(NamedTuple):
        x: int
        y: int = 2

        def norm(self) -> int:
            return self.x + self.y

    point = Point(1)
    assert point == (1, 2)
    assert point._replace(x=4).norm() == 6
    assert Point._fields == ("x", "y")
    assert point._asdict() == {"x": 1, "y": 2}
    assert spans.names == ["norm"]


def test_abstract_classes(spans: Recorder) -> None:
    """An abstract class stays abstract, and its concrete methods are traced."""

    @traced
    class Shape(abc.ABC):
        @abc.abstractmethod
        def area(self) -> int: ...

        @classmethod
        @abc.abstractmethod
        def unit(cls) -> str: ...

        def doubled(self) -> int:
            return 2 * self.area()

    class Square(Shape):
        def area(self) -> int:
            return 4

        @classmethod
        def unit(cls) -> str:
            return "cm"

    assert Shape.__abstractmethods__ == {"area", "unit"}
    assert Shape.area.__isabstractmethod__  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="abstract"):
        Shape()  # type: ignore[abstract]
    assert Square().doubled() == 8
    assert spans.names == ["doubled"]


def test_generic_classes(spans: Recorder) -> None:
    """A generic class can still be subscripted."""
    item = typing.TypeVar("item")

    @traced
    class Box(typing.Generic[item]):
        def __init__(self, value: item) -> None:
            self.value = value

        def get(self) -> item:
            return self.value

    assert Box[int](1).get() == 1
    assert spans.names == ["get"]


def test_slotted_classes(spans: Recorder) -> None:
    """A class with `__slots__` gets no new attribute on its instances."""

    @traced
    class Pair:
        __slots__ = ("a",)

        def __init__(self, a: int) -> None:
            self.a = a

        def get(self) -> int:
            return self.a

    pair = Pair(1)
    assert pair.get() == 1
    with pytest.raises(AttributeError):
        pair.other = 1  # type: ignore[attr-defined]
    assert spans.names == ["get"]


def test_exception_classes(spans: Recorder) -> None:
    """A decorated exception class is raised and caught as ever."""

    @traced
    class OrderError(ValueError):
        def code(self) -> int:
            return 7

    with pytest.raises(OrderError) as caught:
        raise OrderError("x")
    assert caught.value.code() == 7
    assert spans.names == ["code"]


def test_pydantic_models(spans: Recorder) -> None:
    """A pydantic model validates, serialises and describes itself as before; its methods are traced."""
    pydantic = pytest.importorskip("pydantic")

    @traced
    class Order(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        quantity: int
        price: int = 3

        @pydantic.field_validator("quantity")
        @classmethod
        def _positive(cls, value: int) -> int:
            if value < 0:
                raise ValueError("negative")
            return value

        @pydantic.model_validator(mode="after")
        def check(self) -> "Order":
            return self

        @pydantic.computed_field
        def doubled(self) -> int:
            return 2 * self.quantity

        def total(self) -> int:
            return self.quantity * self.price

    assert Order(quantity="2").total() == 6
    assert Order(quantity=2).model_dump() == {"quantity": 2, "price": 3, "doubled": 4}
    assert set(Order.model_json_schema()["properties"]) == {"quantity", "price"}
    assert set(Order.model_fields) == {"quantity", "price"}
    with pytest.raises(pydantic.ValidationError):
        Order(quantity=-1)
    assert "total" in spans.names


@pytest.mark.parametrize("traced_first", [False, True], ids=["traced outside", "traced inside"])
def test_attrs_classes(spans: Recorder, traced_first: bool) -> None:
    """A class made by attrs keeps its fields; its methods are traced."""
    attrs = pytest.importorskip("attrs")

    class Point:
        x: int
        y: int = 2

        def norm(self) -> int:
            return self.x + self.y

    decorated: Any = attrs.define(traced(Point)) if traced_first else traced(attrs.define(Point))
    assert decorated(1).norm() == 3
    assert decorated(1) == decorated(1, 2)
    assert [field.name for field in attrs.fields(decorated)] == ["x", "y"]
    assert spans.names == ["norm"]


def test_metaclass_with_its_own_setattr(spans: Recorder) -> None:
    """A class whose metaclass refuses new attributes is left working."""

    class Strict(type):
        def __setattr__(cls, name: str, value: object) -> None:
            raise TypeError("closed")

    class Closed(metaclass=Strict):
        def work(self) -> int:
            return 1

    assert traced(Closed) is Closed
    assert Closed().work() == 1


def test_decorating_a_class_twice_makes_one_span(spans: Recorder) -> None:
    """A class that is decorated twice has methods that are traced once."""
    calculator = traced(make_calculator())
    calculator().add(1)
    assert spans.names == ["add"]


def test_methods_keep_their_documentation_and_module() -> None:
    """Tools that describe a class see its methods as they were written."""
    assert Account.rename.__qualname__ == "Account.rename"
    assert Account.rename.__module__ == __name__
    assert Account.__doc__ == "A module-level class, for pickling."
