"""Which dialects there are, by the name that ``OTEL_TRACKER_UMAMI_DIALECT`` gives."""

from __future__ import annotations

from otel_tracker_exporters.umami.dialect import Dialect
from otel_tracker_exporters.umami.options import POSTHOG, Options
from otel_tracker_exporters.umami.posthog import PostHogDialect
from otel_tracker_exporters.umami.state import Server
from otel_tracker_exporters.umami.umami_dialect import UmamiDialect


def dialect_of(options: Options, server: Server) -> Dialect:
    """The dialect that the options name."""
    return PostHogDialect(options) if options.dialect == POSTHOG else UmamiDialect(options, server)
