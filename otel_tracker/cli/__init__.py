"""The command line: `otel-tracker`, the terminal's face of what was stored.

Commands ask `StoreReader`s and print records; they know no store and no SDK. `app` names the commands and loads
each one's module only when it is used; `options` opens stores; `tables`, `tree` and `jsonlines` print.
"""

from __future__ import annotations

from otel_tracker.cli.app import main

__all__ = ["main"]
