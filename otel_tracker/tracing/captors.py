"""The short way from the values of a call to its attributes: a function made for the parameters of one plan.

It passes on scalars and texts that are known to hold no secret, has each parameter's own writer make text of plain
dictionaries and lists, and asks the plan about everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, NamedTuple

from otel_tracker.capture import Rules
from otel_tracker.compiling import function_code


class Place(NamedTuple):
    """Where a captured value goes: as a scalar under ``key``, as JSON text under ``json_key``.

    ``is_secret``: it is not to be shown at all; ``hides_parts``: some of it is not.
    """

    position: int
    key: str
    json_key: str
    is_secret: bool = False
    hides_parts: bool = False


Captor = Callable[[Any], Any]
Otherwise = Callable[[Place, Any], tuple[str, Any]]
"""Gives key and attribute of any value whatever."""

_SOURCE = """\
def captor({given}):
    {lines}
    return {found}
"""
_ANY = """\
kind = type(v{n})
    if (
        kind is int and -1073741823 <= v{n} <= 1073741823
        or kind is str and len(v{n}) <= 64 and v{n} in known_texts
        or kind is bool
        or kind is float
    ):
        k{n} = K{n}
    elif kind is dict or kind is list:
        k{n}, v{n} = J{n}, json{n}(v{n})
    elif v{n} is None:
        k{n}, v{n} = J{n}, "null"
    else:
        k{n}, v{n} = otherwise(P{n}, v{n})"""
_ODD = "k{n}, v{n} = otherwise(P{n}, v{n})"


def arguments_captor(
    places: Sequence[Place], size: int, static: Mapping[str, Any], rules: Rules, otherwise: Otherwise
) -> Captor:
    """Makes attributes of a tuple of so many values: those of the places, then the static ones."""
    lines = [f"({''.join(f'v{number}, ' for number in range(size))}) = values", *map(_line, places)]
    pairs = [f"k{place.position}: v{place.position}" for place in places]
    pairs += [f"S{number}: s{number}" for number in range(len(static))]
    names = _names(places, rules, otherwise)
    names |= {f"S{number}": key for number, key in enumerate(static)}
    names |= {f"s{number}": value for number, value in enumerate(static.values())}
    return _function("values", lines, f"{{{', '.join(pairs)}}}", names)


def result_captor(place: Place, rules: Rules, otherwise: Otherwise) -> Captor:
    """Makes key and attribute of a value."""
    number = place.position
    return _function(f"v{number}", [_line(place)], f"k{number}, v{number}", _names((place,), rules, otherwise))


def _line(place: Place) -> str:
    return (_ODD if place.is_secret or place.hides_parts else _ANY).format(n=place.position)


def _names(places: Sequence[Place], rules: Rules, otherwise: Otherwise) -> dict[str, Any]:
    names: dict[str, Any] = {"known_texts": rules.known_texts, "otherwise": otherwise}
    for place in places:
        number = place.position
        names |= {f"P{number}": place, f"K{number}": place.key, f"J{number}": place.json_key}
        names[f"json{number}"] = rules.new_json_writer()
    return names


def _function(given: str, lines: Sequence[str], found: str, names: dict[str, Any]) -> Captor:
    source = _SOURCE.format(given=given, lines="\n    ".join(lines), found=found)
    return FunctionType(function_code(source), names)
