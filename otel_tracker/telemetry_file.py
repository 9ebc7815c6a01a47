"""The settings that a ``telemetry:`` mapping stands for, the form of the telemetry module's ``config.yaml``.

It holds ``enabled``, ``debug``, ``destinations`` (as `otel_tracker.event_routes` reads them), ``default`` and
``sampling: {enabled: true, rate: 0.1}``.
"""

from __future__ import annotations

from collections.abc import Mapping

from otel_tracker.event_routes import ratio_of

TELEMETRY_AREA = "telemetry"


def settings_of(telemetry: object) -> dict[str, object]:
    """Settings by name; raises ValueError or TypeError for what is no such mapping."""
    if not isinstance(telemetry, Mapping):
        raise TypeError(f"expected a mapping under {TELEMETRY_AREA}:")
    found = {
        "events_enabled": telemetry.get("enabled"),
        "events_printed": telemetry.get("debug"),
        "events_routes": telemetry.get("destinations"),
        "events_default": telemetry.get("default"),
        "events_sample_ratio": ratio_of(telemetry.get("sampling")),
    }
    return {name: value for name, value in found.items() if value is not None}
