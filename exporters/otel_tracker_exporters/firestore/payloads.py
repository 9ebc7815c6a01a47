"""Arguments and results as they lie in a document: ``input`` = ``{"args": [...], "kwargs": {...}}``, and ``output``.

``args`` are those of a parameter ``*args``, ``kwargs`` all others by their names (``named``). Where a record holds a
list ``args``, a map ``kwargs`` and nothing else, as of a function of any arguments, they are those of ``input``
themselves (``call``). What Firestore refuses lies there as JSON text, and its path in the field ``json_text``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from otel_tracker_exporters.firestore import wire
from otel_tracker_exporters.firestore.values import json_text

ARGS, KWARGS = "args", "kwargs"
FORMS = NAMED, CALL, WHOLE = ("named", "call", "json")
"""The forms: `WHOLE` is one JSON text under ``json``, where even a name is one that Firestore refuses."""

_WHOLE_KEY = "json"
_ARGS, _KWARGS, _WHOLE = wire.key(ARGS), wire.key(KWARGS), wire.key(_WHOLE_KEY)
_NO_ARGS, _NO_KWARGS = (_ARGS, wire.array(())), (_KWARGS, wire.map_of(()))
EMPTY_INPUT = wire.map_of([_NO_ARGS, _NO_KWARGS])


def form_of(args: Mapping[str, Any]) -> tuple[str, Any, Mapping[str, Any]]:
    """The form, positional and named arguments."""
    positional = args.get(ARGS)
    if not isinstance(positional, (list, tuple)):
        return NAMED, (), args
    named = args.get(KWARGS)
    if isinstance(named, Mapping) and len(args) == 2:
        return CALL, positional, named
    if not positional:
        return NAMED, (), args
    return NAMED, positional, {name: value for name, value in args.items() if name != ARGS}


def encoded_input(args: Mapping[str, Any], as_json: list[str]) -> tuple[str, bytes]:
    """The form, and the arguments as a ``Value``; notes in ``as_json`` what became JSON text."""
    form, positional, named = form_of(args)
    try:
        names = [wire.key(name) for name in named]
    except wire.NotNativeError:
        whole = wire.map_of([_NO_ARGS, _NO_KWARGS, (_WHOLE, wire.text(json_text(dict(args))))])
        return WHOLE, whole
    values = [encoded_payload(item, f"input.kwargs.{name}", as_json) for name, item in named.items()]
    kwargs = (_KWARGS, wire.map_of(zip(names, values, strict=True))) if names else _NO_KWARGS
    if not positional:
        return form, wire.map_of([_NO_ARGS, kwargs])
    items = [
        encoded_payload(item, f"input.args.{number}", as_json, is_in_list=True)
        for number, item in enumerate(positional)
    ]
    return form, wire.map_of([(_ARGS, wire.array(items)), kwargs])


def encoded_payload(value: Any, path: str, as_json: list[str], *, is_in_list: bool = False) -> bytes:
    """A plain value as a ``Value``, as JSON text where Firestore would refuse it."""
    try:
        return wire.value(value, is_in_list=is_in_list)
    except wire.NotNativeError:
        as_json.append(path)
        return wire.text(json_text(value))


def args_from(stored: Mapping[str, Any], form: str, as_json: set[str]) -> dict[str, Any]:
    """The arguments of a record from the field ``input``."""
    if form == WHOLE:
        return dict(json.loads(stored[_WHOLE_KEY]))
    positional = [
        json.loads(value) if f"input.args.{number}" in as_json else value
        for number, value in enumerate(stored.get(ARGS) or ())
    ]
    named = {
        name: json.loads(value) if f"input.kwargs.{name}" in as_json else value
        for name, value in (stored.get(KWARGS) or {}).items()
    }
    if form == CALL:
        return {ARGS: positional, KWARGS: named}
    return {ARGS: positional, **named} if positional else named
