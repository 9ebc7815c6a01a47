"""Ready-made outputs for a `ProcessTracker`: metrics of CloudWatch on stdout, and a logger of the standard library.

An output takes the record as one line of JSON; `print` is the default, any callable will do.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import time_ns
from typing import Any

Output = Callable[[str], None]

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
# and .../APIReference/API_MetricDatum.html, API_Dimension.html
_MAX_METRICS, _MAX_DIMENSIONS, _MAX_NAME, _MAX_NAMESPACE = 100, 30, 1_024, 255
_NAMESPACE = re.compile(r"[A-Za-z0-9._\-/#][A-Za-z0-9._\-/#: ]*", re.ASCII)
_PRINTABLE = re.compile(r"[^\x20-\x7e]", re.ASCII)
_AWS = "_aws"

_Metric = tuple[str, float, str]


def emf(namespace: str, *, dimensions: Iterable[str] = ()) -> Output:
    """An output that prints CloudWatch's Embedded Metric Format: ``ProcessTracker(emf("shop", dimensions=["zone"]))``.

    One line of JSON a record, on stdout, where AWS Lambda takes it from: latencies in Milliseconds, numbers from
    `set_metric` without a unit, everything else as properties that can be searched. ``dimensions`` are identifiers;
    one that a record lacks is no dimension of it. Beyond 100 metrics there are more lines with the same properties.

    Raises ValueError for a namespace or dimensions that CloudWatch refuses.
    """
    _check_namespace(namespace)
    names = _checked_dimensions(dimensions)

    def write(text: str) -> None:
        print("\n".join(_lines(json.loads(text), namespace, names)))

    return write


def logging_output(logger: logging.Logger | str = "otel_tracker.processes", level: int = logging.INFO) -> Output:
    """An output that logs each record as a message: ``ProcessTracker(logging_output("shop.jobs"))``."""
    target = logging.getLogger(logger) if isinstance(logger, str) else logger

    def write(text: str) -> None:
        target.log(level, "%s", text)

    return write


def _check_namespace(namespace: object) -> None:
    is_fine = isinstance(namespace, str) and len(namespace) <= _MAX_NAMESPACE and _NAMESPACE.fullmatch(namespace)
    if not is_fine or str(namespace).startswith("AWS/"):
        raise ValueError(
            f"The namespace is {str(namespace)[:300]!r}; expected letters, digits and . - _ / # with : and spaces "
            f"after the first, {_MAX_NAMESPACE} at most, not beginning with AWS/, such as shop."
        )


def _checked_dimensions(dimensions: Iterable[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(dimensions)) if not isinstance(dimensions, str) else (dimensions,)
    for name in names:
        if not isinstance(name, str) or not name.strip() or name.startswith(":") or len(name) > 255:
            raise ValueError(f"dimensions holds {name!r}; expected names of identifiers, none with a colon in front.")
    if len(names) > _MAX_DIMENSIONS:
        raise ValueError(
            f"There are {len(names)} dimensions; CloudWatch takes {_MAX_DIMENSIONS} at most. Leave some out."
        )
    return names


def _lines(record: dict[str, Any], namespace: str, dimensions: tuple[str, ...]) -> Iterator[str]:
    metrics, properties = _split(record)
    own = {name: text for name in dimensions if (text := _dimension(properties.get(name)))}
    timestamp_ms = time_ns() // 1_000_000
    for first in range(0, max(len(metrics), 1), _MAX_METRICS):
        chunk = metrics[first : first + _MAX_METRICS]
        directive = {
            "Namespace": namespace,
            "Dimensions": [list(own)],
            "Metrics": [{"Name": name, "Unit": unit} for name, _, unit in chunk],
        }
        head = {"Timestamp": timestamp_ms, "CloudWatchMetrics": [directive] if chunk else []}
        values = {name: value for name, value, _ in chunk}
        yield json.dumps({_AWS: head, **properties, **own, **values}, allow_nan=False)


def _split(record: dict[str, Any]) -> tuple[list[_Metric], dict[str, Any]]:
    """The metrics, and everything else, under names that occur once in a line."""
    latencies, numbers = record.pop("latencies", {}), record.pop("metrics", {})
    properties: dict[str, Any] = {("identifiers._aws" if name == _AWS else name): record[name] for name in record}
    taken = {_AWS, *properties}
    metrics: list[_Metric] = []
    for prefix, unit, values in (("latencies", "Milliseconds", latencies), ("metrics", "None", numbers)):
        for name, value in values.items():
            known = _free(name, prefix, taken)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                metrics.append((known, value, unit))
            else:
                properties[known] = value
    return metrics, properties


def _free(name: str, prefix: str, taken: set[str]) -> str:
    """The name, bounded; with a prefix where it is empty, or something else has it."""
    known = name[:_MAX_NAME]
    while not known.strip() or known in taken:
        known = f"{prefix}.{known}"[:_MAX_NAME] if len(known) < _MAX_NAME else f"{known[:-8]}{len(taken):08}"
    taken.add(known)
    return known


def _dimension(value: object) -> str:
    """What CloudWatch takes as a value: printable ASCII of at most 1,024 characters; empty for what it does not."""
    if value is None or isinstance(value, Mapping):
        return ""
    return _PRINTABLE.sub("?", str(value))[:_MAX_NAME].strip()
