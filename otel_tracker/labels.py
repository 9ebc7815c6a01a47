"""From the labels of a measurement to attributes: bounded, redacted, and of no more sets than a store can bear.

Every distinct set of labels is a time series of its own, which the SDK keeps for as long as the process lives. Of one
instrument the first `MAX_LABEL_SETS` are kept apart; measurements with any other set are taken together in one point
with the attribute ``otel.metric.overflow``, as the specification has it ("Metrics SDK", cardinality limits).
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from itertools import islice
from math import isfinite
from typing import Any

from otel_tracker import attributes as keys
from otel_tracker.capture import capture_tree, capture_value, rules_in_force
from otel_tracker.diagnostics import say_once

MAX_LABEL_SETS = 1_000
"""Distinct sets of labels that are kept apart of one instrument, in one process; the empty set is none of them."""

MAX_LABELS = 64
"""Labels kept of one measurement."""

OVERFLOW: Mapping[str, Any] = {keys.METRIC_OVERFLOW: True}

_MAX_NAME = 256
_MAX_KNOWN = 4 * MAX_LABEL_SETS  # the same labels in another order are known apart

_Labels = tuple[tuple[str, Any], ...]


class LabelSets:
    """The sets of labels that one instrument has seen; written by all threads, without a lock that a fork could take.

    Several threads that see the last free place at once may each take one.
    """

    __slots__ = ("__weakref__", "_instrument", "_kept", "_known")

    def __init__(self, instrument: str) -> None:
        self._instrument = instrument
        self._kept: dict[frozenset[Any], Mapping[str, Any]] = {}
        # The way for nearly all measurements: labels whose values are texts, and were taken as they are.
        self._known: dict[_Labels, Mapping[str, Any]] = {}
        _every.add(self)

    def attributes_of(self, labels: dict[str, Any]) -> Mapping[str, Any]:
        """The attributes for a measurement with these labels; never to be changed."""
        try:
            found = self._known.get(tuple(labels.items()))
        except Exception:  # a value that cannot be hashed, or compared
            found = None
        return self._admitted(labels) if found is None else found

    def forget_known(self) -> None:
        """Look at labels again: what is secret may have changed."""
        self._known.clear()

    def start_anew(self) -> None:
        """Forget everything: a forked child counts for itself."""
        self._known.clear()
        self._kept.clear()

    def _admitted(self, labels: dict[str, Any]) -> Mapping[str, Any]:
        attributes = dict(_attribute(name, value) for name, value in islice(labels.items(), MAX_LABELS))
        attributes.pop("", None)  # which OpenTelemetry refuses
        identity = frozenset((name, type(value), value) for name, value in attributes.items())
        kept = self._kept.get(identity)
        if kept is None:
            if len(self._kept) >= MAX_LABEL_SETS and identity:
                say_once(
                    f"The metric {self._instrument} has more than {MAX_LABEL_SETS:,} sets of labels; all others are "
                    f"counted together in one point, with {keys.METRIC_OVERFLOW}. Take values that grow without "
                    "bound (ids, paths, arguments) out of its labels.",
                    key=f"labels of {self._instrument}",
                )
                return OVERFLOW
            kept = self._kept.setdefault(identity, attributes)
        are_texts = all(type(value) is str for value in labels.values())
        if are_texts and attributes == labels and len(self._known) < _MAX_KNOWN:
            self._known[tuple(labels.items())] = kept
        return kept


def reset() -> None:
    """Look at all labels again; `configure()` calls this."""
    for one in list(_every):
        one.forget_known()


def _attribute(name: str, value: object) -> tuple[str, str | bool | int | float]:
    """A label as OpenTelemetry takes it: numbers and truth values as they are, everything else as bounded text."""
    key = rules_in_force().redact.text(name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 3]}...")
    plain = capture_tree(value, name)
    if isinstance(plain, (dict, list)):
        return key, str(capture_value(value, name))
    if plain is None or (isinstance(plain, float) and not isfinite(plain)):
        return key, str(plain)  # NaN is not equal to itself: each would be a set of its own
    kept: str | bool | int | float = plain
    return key, kept


def _start_all_anew() -> None:
    for one in list(_every):
        one.start_anew()


_every: weakref.WeakSet[LabelSets] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_all_anew)
