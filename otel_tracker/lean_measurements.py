"""Measurements as the SDK's instruments make them, in two thirds of the time: for attributes that are plain already.

What an instrument of the SDK does first for every measurement (a frozen object, made field by field, and a look at
each attribute) costs as much as adding it up. `otel_tracker.instruments` has bounded and checked both, so the object
is made past its constructor here. Everything after that is the SDK's.

Private to the SDK and used here: of an instrument ``_measurement_consumer`` and ``_meter_config``; the class
``Measurement``, which keeps its fields in ``__dict__``. Where one of them is another than here, `measure_for` gives
None, and the instrument is used as anybody uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from time import time_ns
from typing import Any

from opentelemetry.sdk.metrics._internal.instrument import _Counter, _Gauge, _Histogram, _UpDownCounter
from opentelemetry.sdk.metrics._internal.measurement import Measurement
from opentelemetry.sdk.metrics._internal.measurement_consumer import SynchronousMeasurementConsumer

from otel_tracker import current

_INSTRUMENTS = frozenset({_Counter, _Gauge, _Histogram, _UpDownCounter})
_FIELDS = {"value", "time_unix_nano", "instrument", "context", "attributes"}
_IS_KNOWN = {each.name for each in fields(Measurement)} == _FIELDS and not hasattr(Measurement, "__slots__")

_new: Any = object.__new__


def measure_for(instrument: Any) -> Callable[..., None] | None:
    """What takes a usable amount and plain attributes for this instrument; None where it is none of the SDK's."""
    consumer = getattr(instrument, "_measurement_consumer", None)
    if type(instrument) not in _INSTRUMENTS or type(consumer) is not SynchronousMeasurementConsumer or not _IS_KNOWN:
        return None
    config, consume = instrument._meter_config, consumer.consume_measurement

    def measure(amount: float, attributes: Mapping[str, Any] | None = None) -> None:
        if config is None or config.is_enabled:
            made = _new(Measurement)
            made.__dict__.update(
                value=amount,
                time_unix_nano=time_ns(),
                instrument=instrument,
                context=current.get(),
                attributes=attributes,
            )
            consume(made)

    return measure
