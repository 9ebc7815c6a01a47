"""`Config`, and what it means for our settings: FlowTrace's file as the `jsonl` store, below every other setting.

A variable of ours or of OpenTelemetry's still moves everything elsewhere (``OTEL_TRACES_EXPORTER``).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from otel_tracker import lifecycle, setting_sources
from otel_tracker.diagnostics import logger
from otel_tracker.setting_values import parse_bool, parse_names, parse_whole

_VARIABLES = {
    "package_prefix": "FLOWTRACE_PACKAGE_PREFIX",
    "logfile": "FLOWTRACE_LOGFILE",
    "stdout": "FLOWTRACE_STDOUT",
    "max_arg_length": "FLOWTRACE_MAX_ARG_LENGTH",
    "exclude_patterns": "FLOWTRACE_EXCLUDE",
    "async_logging": "FLOWTRACE_ASYNC",
}

_lock = threading.Lock()
_is_configured = False


@dataclass
class Config:
    """FlowTrace's settings. ``async_logging`` has no use here: nothing is ever written on the caller's path."""

    package_prefix: str = ""
    logfile: str = "flowtrace.jsonl"
    stdout: bool = False
    max_arg_length: int = 1000
    exclude_patterns: list[str] = field(default_factory=list)
    async_logging: bool = False

    @classmethod
    def from_env(cls) -> Config:
        """What the variables ``FLOWTRACE_*`` say; one that cannot be used counts as unset."""
        return cls.from_dict({name: os.environ.get(variable) for name, variable in _VARIABLES.items()})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """A configuration of a dictionary; texts are read as variables are, other keys are left out."""
        found = {}
        for entry in fields(cls):
            value = values.get(entry.name)
            if value is not None:
                try:
                    found[entry.name] = _PARSERS[entry.name](value)
                except (ValueError, TypeError):
                    logger.warning("FlowTrace's %s is %r, which cannot be used; its default is.", entry.name, value)
        return cls(**found)

    def to_dict(self) -> dict[str, Any]:
        """The same as a dictionary, which `from_dict` takes."""
        return asdict(self)


_PARSERS: dict[str, Any] = {
    "package_prefix": str,
    "logfile": str,
    "stdout": parse_bool,
    "max_arg_length": parse_whole,
    "exclude_patterns": lambda value: list(parse_names(value)),
    "async_logging": parse_bool,
}


def configure(config: Config | None) -> None:
    """Set up what the first configuration of the process says; the variables' without one."""
    global _is_configured
    with _lock:
        if _is_configured:
            return
        _is_configured = True
        used = config or Config.from_env()
        if used.async_logging:
            logger.debug("async_logging has no effect: nothing is ever written on the caller's path")
        setting_sources.adopt(
            {"exporters": "jsonl", "jsonl_path": used.logfile, "capture_max_length": used.max_arg_length}
        )
        lifecycle.configure()
