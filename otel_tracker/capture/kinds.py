"""Says what to show of a value that is no plain scalar, list or dictionary: a text, a scalar, pairs or items.

One table from types to small functions. What is heavy is summarised (arrays, frames, tensors, bytes), what is lazy
is not touched (database objects, iterators, files), what has named fields becomes pairs, and the rest is its `repr`.
The functions may raise; the walk in `otel_tracker.capture` contains that, and bounds and redacts what comes back.
Third-party types are known by name: nothing is imported for them.
"""

from __future__ import annotations

import array
import collections
import functools
import io
import re
import types
from collections.abc import Mapping
from itertools import islice
from typing import Any

from otel_tracker.capture.facts import MISSING, class_attribute, class_dict, instance_dict, module_of, mro_of, type_name
from otel_tracker.capture.fields import MARKS, MAX_ITEMS, Handler, Items, Pairs, django_model, namespace
from otel_tracker.redaction.patterns import REDACTED

_MAX_DIGITS_BITS = 8_192  # str() of a much longer integer is refused (CVE-2020-10735), and slow
_MAX_KNOWN_TYPES = 1_024
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")

# Keyed by id, with the type kept beside: hashing a class would run its metaclass.
_known: dict[int, tuple[type, Handler]] = {}


def simplified(value: object, max_text: int) -> object:
    """A plain scalar, a plain text of about ``max_text`` characters, `Items` or `Pairs`; may raise anything."""
    kind = type(value)
    known = _known.get(id(kind))
    if known is None or known[0] is not kind:
        known = (kind, _handler_of(kind))
        if len(_known) >= _MAX_KNOWN_TYPES:
            _known.clear()
        _known[id(kind)] = known
    return known[1](value, max_text)


def digits(value: int) -> str:
    """The decimal digits of an integer, or the size of one that is huge."""
    try:
        return str(value) if value.bit_length() <= _MAX_DIGITS_BITS else f"<int {value.bit_length()} bits>"
    except ValueError:  # the program has set a lower limit of digits
        return f"<int {value.bit_length()} bits>"


def _handler_of(kind: type) -> Handler:
    for base in mro_of(kind):
        handler = _marked(kind, class_dict(base)) or _BY_TYPE.get(id(base)) or _BY_NAME.get(_package_and_name(base))
        if handler is not None:
            return handler
    if class_attribute(kind, "shape") is not MISSING:
        if class_attribute(kind, "dtype") is not MISSING:
            return _array
        if class_attribute(kind, "dtypes") is not MISSING:
            return _frame
    return _named if class_attribute(kind, "__repr__") is object.__repr__ else _repr


def _marked(kind: type, names: Mapping[str, Any]) -> Handler | None:
    for mark, maker in MARKS.items():
        if mark in names:
            handler = maker(kind, names[mark])
            if handler is not None:
                return handler
    return None


def _package_and_name(kind: type) -> tuple[str, str]:
    return module_of(kind).partition(".")[0], type_name(kind).rpartition(".")[2]


# Scalars and texts. Unbound methods of the built-in bases: what a subclass overrides does not run.


def _str(value: str, max_text: int) -> str:
    return str.__getitem__(value, slice(0, max_text))


def _bytes(value: bytes | bytearray, _: int) -> str:
    size = bytes.__len__(value) if isinstance(value, bytes) else bytearray.__len__(value)
    return f"<{type_name(type(value))} {size}>"


def _memoryview(value: memoryview, _: int) -> str:
    return f"<memoryview {value.nbytes}>"


def _enum(value: object, max_text: int) -> str:
    name = object.__getattribute__(value, "_name_")
    return f"{type_name(type(value))}.{name}" if name else _repr(value, max_text)


def _numpy_scalar(value: Any, _: int) -> object:
    item = value.item()
    return item if type(item) in (bool, int, float, str) else str(value)


def _datetime(value: Any, _: int) -> str:
    return str(value.isoformat())


def _text(value: object, _: int) -> str:
    return str(value)


def _exception(value: BaseException, max_text: int) -> str:
    """Type and message; the arguments of a plain exception one by one, since its own text may be a huge list's."""
    own_text = class_attribute(type(value), "__str__")
    if own_text in (BaseException.__str__, KeyError.__str__):
        args = tuple.__iter__(BaseException.args.__get__(value))  # type: ignore[attr-defined]
        message = ", ".join(_argument(arg, max_text) for arg in islice(args, MAX_ITEMS))
    else:
        message = str(value)
    return f"{type_name(type(value))}: {message[:max_text]}"


def _argument(value: object, max_text: int) -> str:
    if type(value) is str:
        return value[:max_text]
    if type(value) is int:
        return digits(value)
    return str(value) if value is None or type(value) in (bool, float) else f"<{type_name(type(value))}>"


def _class(value: type, _: int) -> str:
    return type_name(value)


def _function(value: Any, _: int) -> str:
    module = getattr(value, "__module__", None)
    return f"{module}.{value.__qualname__}" if module and module != "builtins" else str(value.__qualname__)


def _method(value: types.MethodType, _: int) -> str:
    inner = value.__func__
    return _function(inner, 0) if isinstance(inner, types.FunctionType) else f"<method of {type_name(type(inner))}>"


def _partial(value: Any, max_text: int) -> str:
    function = object.__getattribute__(value, "func")  # its `repr` would show the arguments
    return f"functools.partial({simplified(function, max_text)})"


def _module(value: types.ModuleType, _: int) -> str:
    return str(instance_dict(value).get("__name__"))


def _named(value: object, _: int) -> str:
    return f"<{type_name(type(value))} object>"


def _secret(_: object, __: int) -> str:
    return REDACTED


def _repr(value: object, max_text: int) -> str:
    name = type_name(type(value))
    try:
        text = str.__getitem__(repr(value), slice(0, max_text))
    except Exception as error:
        return f"<{name}: repr failed: {type_name(type(error))}>"
    return _ADDRESS.sub("", text) if " at 0x" in text else text


# Heavy values: type, shape and element type.


def _array(value: Any, _: int) -> str:
    return f"<{type_name(type(value))} shape={_shape(value)} dtype={str(value.dtype)[:100]}>"


def _frame(value: Any, _: int) -> str:
    kinds = sorted({str(dtype)[:30] for dtype in islice(value.dtypes, MAX_ITEMS)})
    return f"<{type_name(type(value))} shape={_shape(value)} dtypes={','.join(kinds)}>"


def _shape(value: Any) -> str:
    return str(tuple(value.shape))[:100]


def _sized(value: Any, _: int) -> str:
    return f"<{type_name(type(value))} {len(value)}>"


# Containers.


def _sequence(kind: Any) -> Handler:
    """Of a built-in sequence and its subclasses."""

    def sequence(value: Any, _: int) -> Items:
        return Items(tuple(islice(kind.__iter__(value), MAX_ITEMS)), kind.__len__(value))

    return sequence


def _set(kind: Any) -> Handler:
    """Sorted where that runs no user code; a subset of a large set, since sorting that would look at all of it."""

    def a_set(value: Any, _: int) -> Items:
        items = list(islice(kind.__iter__(value), MAX_ITEMS))
        if all(type(item) is str for item in items) or all(type(item) in (int, float) for item in items):
            items.sort()
        return Items(tuple(items), kind.__len__(value))

    return a_set


def _dictionary(kind: Any) -> Handler:
    """Of a dictionary and its subclasses, which may load values lazily in their own methods."""

    def dictionary(value: Any, _: int) -> Pairs:
        return Pairs(tuple(islice(kind.items(value), MAX_ITEMS)), dict.__len__(value))

    return dictionary


def _mapping(value: Any, _: int) -> Pairs:
    pairs = tuple((key, item) for key, item in islice(value.items(), MAX_ITEMS))
    return Pairs(pairs, max(len(pairs), len(value)))


_EMPTY: dict[str, str] = {}
_VIEWS = (type(_EMPTY.keys()), type(_EMPTY.values()), type(_EMPTY.items()))
_SEQUENCES = (list, tuple, collections.deque, range, *_VIEWS)
_NAMED_ONLY = (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType, io.IOBase.__mro__[1])
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.WrapperDescriptorType, types.MethodDescriptorType)

_BY_TYPE: dict[int, Handler] = {
    **{id(kind): _sequence(kind) for kind in _SEQUENCES},
    **{id(kind): _set(kind) for kind in (set, frozenset)},
    **{id(kind): _dictionary(kind) for kind in (dict, collections.OrderedDict)},
    **{id(kind): _named for kind in _NAMED_ONLY},
    **{id(kind): _function for kind in _FUNCTIONS},
    **{id(kind): _bytes for kind in (bytes, bytearray)},
    id(str): _str,
    id(int): lambda value, _: int.__index__(value),
    id(float): lambda value, _: float.__float__(value),
    id(complex): lambda value, _: complex.__repr__(value),
    id(memoryview): _memoryview,
    id(array.array): _sized,
    id(types.MappingProxyType): _mapping,
    id(Mapping): _mapping,
    id(types.SimpleNamespace): namespace,
    id(BaseException): _exception,
    id(type): _class,
    id(types.MethodType): _method,
    id(types.ModuleType): _module,
    id(functools.partial): _partial,
}

_TEXTS = ("decimal.Decimal", "_pydecimal.Decimal", "uuid.UUID", "pathlib.PurePath", "fractions.Fraction")
_DATES = ("datetime.datetime", "datetime.date", "datetime.time")
_SECRETS = ("SecretStr", "SecretBytes", "Secret", "SecretField", "_SecretField", "_SecretBase")
_LAZY = (
    *("unittest.NonCallableMock", "socket.socket", "_asyncio.Future", "asyncio.Future", "concurrent.Future"),
    *("_thread.lock", "_thread.RLock"),
    *("django.QuerySet", "starlette.HTTPConnection", "itertools.repeat", "itertools.cycle"),
)

# By the first part of the module's name and the bare class name: packages move classes between their modules.
_BY_NAME: dict[tuple[str, str], Handler] = {
    (package, name): handler
    for handler, names in {
        _text: (*_TEXTS, "datetime.timedelta"),
        _datetime: _DATES,
        _secret: (*(f"pydantic.{name}" for name in _SECRETS), "starlette.Secret"),
        _named: _LAZY,
        _enum: ("enum.Enum",),
        _numpy_scalar: ("numpy.generic",),
        _array: ("numpy.ndarray",),
        _mapping: ("werkzeug.Headers",),
        namespace: ("argparse.Namespace",),
        django_model: ("django.Model",),
    }.items()
    for package, _, name in (names_of.partition(".") for names_of in names)
}
