"""Objects with named fields as pairs of name and value, read without running their code.

Dataclasses, attrs classes, pydantic models, structs and named tuples give their fields, less those that hide
themselves from `repr` or are marked `Sensitive`. Objects of a database give their class and primary key only:
touching a lazy field would run a query.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from otel_tracker.capture.facts import MISSING, class_attribute, instance_dict, stored, type_name
from otel_tracker.capture.sensitive import Sensitive, sensitive_fields
from otel_tracker.redaction.patterns import REDACTED

MAX_ITEMS = 50
"""Entries kept of a container."""


@dataclass(frozen=True, slots=True)
class Items:
    """The first items of a sequence and how many there are in all."""

    items: tuple[Any, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """The first pairs of a mapping or of an object's fields, and how many there are in all."""

    pairs: tuple[tuple[Any, Any], ...]
    total: int


Handler = Callable[[Any, int], object]
"""Makes a scalar, a text, `Items` or `Pairs` from a value; also takes how many characters of a text are of use."""


def _fields_handler(kind: type, names: tuple[str, ...], marked: frozenset[str] = frozenset()) -> Handler:
    hidden = sensitive_fields(kind) | marked

    def fields(value: object, _: int) -> Pairs:
        attributes = instance_dict(value)
        found = ((name, stored(value, attributes, name)) for name in names[: MAX_ITEMS + 1])
        pairs = tuple((name, REDACTED if name in hidden else item) for name, item in found if item is not MISSING)
        return Pairs(pairs, len(pairs) + len(names[MAX_ITEMS + 1 :]))

    return fields


def _dataclass(kind: type, fields: Any) -> Handler:
    return _fields_handler(kind, tuple(name for name, field in fields.items() if field.repr))


def _attrs_class(kind: type, attributes: Any) -> Handler:
    return _fields_handler(kind, tuple(attribute.name for attribute in attributes if attribute.repr is not False))


def _struct(kind: type, names: Any) -> Handler:
    return _fields_handler(kind, tuple(names))


def _pydantic_model(kind: type, fields: Any) -> Handler | None:
    """Fields from the instance's dictionary: no serialiser and no computed field of the user's runs."""
    if type(fields) is not dict:
        return None
    shown: list[str] = []
    hidden: set[str] = set()
    for name, field in fields.items():
        information = getattr(field, "field_info", field)  # version 1 keeps it one step further
        if getattr(information, "repr", True):
            shown.append(name)
        if any(mark is Sensitive or type(mark) is Sensitive for mark in getattr(information, "metadata", ())):
            hidden.add(name)
    return _fields_handler(kind, tuple(shown), frozenset(hidden))


def _named_tuple(kind: type, names: Any) -> Handler | None:
    if not issubclass(kind, tuple) or type(names) is not tuple:
        return None  # syntax trees and ctypes structures have `_fields` too
    hidden = sensitive_fields(kind)

    def named_tuple(value: tuple[Any, ...], _: int) -> Pairs:
        items = zip(names[:MAX_ITEMS], tuple.__iter__(value), strict=False)
        pairs = tuple((name, REDACTED if name in hidden else item) for name, item in items)
        return Pairs(pairs, tuple.__len__(value))

    return named_tuple


def _sqlalchemy_object(kind: type, _: Any) -> Handler:
    name = type_name(kind)

    def sqlalchemy_object(value: object, _: int) -> str:
        identity = getattr(instance_dict(value).get("_sa_instance_state"), "key", None)
        return f"<{name} pk={_key_text(identity[1]) if identity else None}>"

    return sqlalchemy_object


def django_model(value: object, _: int) -> str:
    """Class and primary key, from the instance's dictionary."""
    options = class_attribute(type(value), "_meta")
    return f"<{type_name(type(value))} pk={_key_text((instance_dict(value).get(options.pk.attname),))}>"


def _key_text(parts: tuple[object, ...]) -> str:
    """A primary key; its parts are numbers, texts or UUIDs, and anything else is named only."""
    simple = (int, str, type(None))
    texts = [str(part) if type(part) in simple or type_name(type(part)) == "uuid.UUID" else "..." for part in parts]
    return ", ".join(text[:100] for text in texts)


def namespace(value: object, _: int) -> Pairs:
    """The attributes of an object that is nothing but them."""
    attributes = instance_dict(value)
    return Pairs(tuple(islice(attributes.items(), MAX_ITEMS)), len(attributes))


MARKS: dict[str, Callable[[type, Any], Handler | None]] = {
    "_sa_class_manager": _sqlalchemy_object,  # first: a mapped class may be a dataclass too
    "__pydantic_fields__": _pydantic_model,
    "model_fields": _pydantic_model,  # before 2.10
    "__fields__": _pydantic_model,  # version 1
    "__attrs_attrs__": _attrs_class,
    "__dataclass_fields__": _dataclass,
    "__struct_fields__": _struct,
    "_fields": _named_tuple,
}
"""A mark in a class dictionary, and what makes a handler from the class and the mark's value (None: no match)."""
