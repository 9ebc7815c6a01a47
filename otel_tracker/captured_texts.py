"""Has Python compile a function that writes arguments and result of a span as JSON, from what capture put on it.

Spans of one function have the same attributes, with values of the same kinds. To go through them one by one, and to ask
of each what it stands for, was half of what a local store spent on a span; a function made for just these keys takes
what it needs and puts it into a format string. As in `otel_tracker.capture.shape_source` the source is made of numbers
only: keys and labels take the places of their numbers among the constants of what was compiled.

What it reads is bounded and redacted already: it is for attributes that nobody but capture has written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from json.encoder import encode_basestring
from types import FunctionType
from typing import Any, NamedTuple

from otel_tracker.compiling import function_code, with_texts
from otel_tracker.records import INT64_MAX, INT64_MIN

Reader = Callable[[Mapping[str, Any]], "tuple[str, str | None] | None"]
"""Takes attributes and gives the members of the arguments and the result; None where it was made for other keys.

It raises `StrangeError` for a value that capture does not write.
"""


class StrangeError(Exception):
    """A span that is to become a record."""


class Member(NamedTuple):
    """An attribute that is an argument or, with an empty label, the result; ``is_json``: its text is taken as it is."""

    key: str
    label: str
    is_json: bool
    sample: object


# Numbers are compared with one digit of 30 bits: interpreters have a faster way for these.
_FORMS: dict[type, str] = {
    str: "{{encode({v}) if type({v}) is str else scalar({v})}}",
    int: "{{{v} if type({v}) is int and -1073741823 <= {v} <= 1073741823 else scalar({v})}}",
    float: '{{f"{{{v}!r}}" if type({v}) is float and {v} - {v} == 0.0 else scalar({v})}}',
}
_OTHER_FORM = "{{scalar({v})}}"
_JSON_FORM = "{{{v} if type({v}) is str else strange()}}"


def scalar_text(value: Any) -> str:
    """JSON of a scalar as capture writes it; raises `StrangeError` for anything else."""
    kind = type(value)
    if kind is str:
        return encode_basestring(value)
    if (kind is int and INT64_MIN <= value <= INT64_MAX) or (kind is float and value - value == 0.0):
        return repr(value)
    if kind is bool:
        return "true" if value else "false"
    raise StrangeError


def _strange() -> str:
    raise StrangeError


_NAMES: dict[str, Any] = {"encode": encode_basestring, "scalar": scalar_text, "strange": _strange}
# Among its globals, because the interpreter finds builtins one step later.
_NAMES |= {"type": type, "tuple": tuple, "str": str, "int": int, "float": float}


def captured_reader(keys: tuple[str, ...], members: Sequence[Member]) -> Reader:
    """The function for attributes with just these keys in this order, these members among them."""
    values = [f'v{number} = attributes["K{number}"]' for number in range(len(members))]
    arguments = "".join(f"L{n}{_form(n, each)}" for n, each in enumerate(members) if each.label)
    result = next((f"f'{_form(n, each)}'" for n, each in enumerate(members) if not each.label), "None")
    lines = ["if tuple(attributes) != keys: return None", *values, f"return f'{arguments}', {result}"]
    code = function_code("\n    ".join(["def read(attributes, keys):", *lines]))
    texts = {f"K{number}": each.key for number, each in enumerate(members)} | _labels(members)
    reader: Reader = FunctionType(with_texts(code, texts), _NAMES, None, (keys,))
    return reader


def _form(number: int, member: Member) -> str:
    form = _JSON_FORM if member.is_json else _FORMS.get(type(member.sample), _OTHER_FORM)
    return form.format(v=f"v{number}")


def _labels(members: Sequence[Member]) -> dict[str, str]:
    """Each argument's label, with the comma in front of it."""
    labels: dict[str, str] = {}
    for number, member in enumerate(members):
        if member.label:
            labels[f"L{number}"] = f",{member.label}" if labels else member.label
    return labels
