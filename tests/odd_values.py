"""Values that are hard to capture: classes that lie, fail, hide or hold secrets. Used by the tests of capture."""

from __future__ import annotations

import collections
import dataclasses
import enum
import itertools
import json
from typing import Annotated, Any, NamedTuple

import pytest

from otel_tracker.capture import JsonText, Sensitive, capture_value

attrs = pytest.importorskip("attrs")
pydantic = pytest.importorskip("pydantic")


def shown(value: object) -> Any:
    """What a reader gets of a value that is captured as JSON text."""
    captured = capture_value(value)
    assert type(captured) is JsonText
    return json.loads(captured, parse_constant=pytest.fail)


class Level(enum.IntEnum):
    LOW = 1


class Colour(str, enum.Enum):
    RED = "red"


class Loud(str):
    def __len__(self):
        raise RuntimeError

    def __str__(self):
        raise RuntimeError

    def __getitem__(self, item):
        raise RuntimeError

    def __hash__(self):
        raise RuntimeError

    def __eq__(self, other):
        raise RuntimeError


@dataclasses.dataclass
class Account:
    name: str
    api_key: str
    mother: Annotated[str, Sensitive] = "Eve"
    cache: int = dataclasses.field(default=0, repr=False)


@dataclasses.dataclass(slots=True)
class Slotted:
    a: int = 1


@attrs.define
class Crate:
    size: int
    token: str = "t"
    cache: int = attrs.field(default=0, repr=False)


class Model(pydantic.BaseModel):
    name: str
    pin_hash: pydantic.SecretStr
    mother: Annotated[str, Sensitive] = "Eve"
    cache: int = pydantic.Field(0, repr=False)

    @pydantic.field_serializer("name")
    def _never(self, value: str) -> str:
        raise AssertionError

    @pydantic.computed_field
    @property
    def lazy(self) -> str:
        raise AssertionError


class Point(NamedTuple):
    x: int
    password: str


class Flavour(enum.Enum):
    SWEET = object()


class Plain:
    pass


def a_function() -> None: ...


def numbers():
    yield 1


class Meta(type):
    def __hash__(cls):
        raise RuntimeError

    def __eq__(cls, other):
        raise RuntimeError

    def __getattribute__(cls, name):
        raise RuntimeError(name)


class Hostile(metaclass=Meta):
    def __getattribute__(self, name):
        raise RuntimeError(name)

    def __hash__(self):
        return 1

    def __eq__(self, other):
        raise RuntimeError

    def __len__(self):
        raise RuntimeError

    def __iter__(self):
        raise RuntimeError

    def __bool__(self):
        raise RuntimeError

    __class__ = property(lambda self: 1 / 0)


class LyingDict(dict):
    def items(self):
        raise RuntimeError

    __iter__ = __len__ = keys = values = __getitem__ = items


class LyingList(list):
    def __iter__(self):
        raise RuntimeError

    __len__ = __getitem__ = __iter__


class BadMapping(collections.abc.Mapping):
    def __getitem__(self, key):
        raise KeyError(key)

    def __iter__(self):
        return itertools.count()

    def __len__(self):
        return -1  # noqa: PLE0303


def with_repr(result: Any) -> object:
    return type("Odd", (), {"__repr__": lambda self: result() if callable(result) else result})()


def recurse() -> str:
    return repr(with_repr(recurse))


def fail() -> str:
    raise ValueError


class Flat(str):
    def __len__(self):
        raise RuntimeError

    __str__ = __getitem__ = lower = __len__
