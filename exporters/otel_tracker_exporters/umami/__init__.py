"""The `umami` destination: selected events, and on request spans, for a web analytics server; it cannot be read.

The two exporters are found by entry point; `probe` is what ``otel-tracker doctor umami`` asks. A batch goes through
five steps, a module or two each: filter and map (`mapping`), keep private (`privacy`), sanitise (`texts`, `places`,
`properties`), deliver (`delivering`, `connection`) and classify the answer (a `Dialect`). Everything heavier than this
page is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_tracker_exporters.umami.exporter import UmamiLogExporter, UmamiSpanExporter

__all__ = ["UmamiLogExporter", "UmamiSpanExporter", "probe"]


def __getattr__(name: str) -> Any:
    if name in ("UmamiLogExporter", "UmamiSpanExporter"):
        from otel_tracker_exporters.umami import exporter

        return getattr(exporter, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def probe() -> Iterator[tuple[str, str]]:
    """Send one probe event and say what the server did with it: pairs of verdict and sentence."""
    from otel_tracker_exporters.umami.probing import findings

    return findings()
