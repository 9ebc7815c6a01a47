"""What can be known about a value without running a line of its code.

Classes lie: ``__class__``, ``__getattr__``, ``__len__`` and metaclasses are user code, and so is a property that
queries a database. These helpers read the interpreter's own tables instead: `type()`, the method resolution order,
class dictionaries, instance dictionaries and slots.
"""

from __future__ import annotations

from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MISSING: Any = object()

_mro = type.__dict__["__mro__"].__get__
_class_dict = type.__dict__["__dict__"].__get__
_module = type.__dict__["__module__"].__get__
_qualname = type.__dict__["__qualname__"].__get__


def mro_of(kind: type) -> tuple[type, ...]:
    """The method resolution order."""
    order: tuple[type, ...] = _mro(kind)
    return order


def class_dict(kind: type) -> Mapping[str, Any]:
    """The dictionary of this class alone, without its bases."""
    names: Mapping[str, Any] = _class_dict(kind)
    return names


def class_attribute(kind: type, name: str) -> Any:
    """The raw class attribute, descriptors unbound; `MISSING` when no base has it."""
    for base in _mro(kind):
        names = _class_dict(base)
        if name in names:
            return names[name]
    return MISSING


def module_of(kind: type) -> str:
    """The module that the class says it comes from; empty when it says something else than text."""
    module = _module(kind)
    return module if type(module) is str else ""


def type_name(kind: type) -> str:
    """``module.qualname``, without the module for built-in types; at most 200 characters."""
    module, name = module_of(kind), str.__str__(_qualname(kind))
    return (name if module in ("builtins", "") else f"{module}.{name}")[:200]


def instance_dict(value: object) -> dict[str, Any]:
    """The instance's own attributes; empty when it has no dictionary."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except Exception:
        return {}
    return found if type(found) is dict else {}


def stored(value: object, attributes: dict[str, Any], name: str) -> Any:
    """What lies in the instance dictionary (``attributes``) or a slot under this name, else `MISSING`."""
    if name in attributes:
        return attributes[name]
    slot = class_attribute(type(value), name)
    if type(slot) is not MemberDescriptorType:
        return MISSING
    try:
        return slot.__get__(value)
    except AttributeError:
        return MISSING
