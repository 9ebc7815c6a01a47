"""What an exporter logs while it fails: kept as the reason for our one sentence, instead of a line for every attempt.

Only what is logged on the thread that exports, while it exports, and only by the exporter's own package and the
libraries that it sends with. Everything else, and every level below a warning, goes where it always goes.
"""

from __future__ import annotations

import logging
import threading
from types import TracebackType

_SENDING_LIBRARIES = ("urllib3", "requests", "httpx", "grpc")
_OWN = "otel_tracker"


class Listener(logging.Filter):
    """A context manager around `export`; ``reason`` is the last thing that was said in it."""

    def __init__(self, exporter: object) -> None:
        super().__init__()
        self.reason = ""
        self._thread = 0
        module = type(exporter).__module__
        self._packages = () if module.split(".")[0].startswith(_OWN) else (_package_of(module), *_SENDING_LIBRARIES)
        self._loggers: set[str] = set()

    def __enter__(self) -> None:
        self._thread = threading.get_ident()
        if self._packages:
            self._listen()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a warning of the exporting thread to ourselves."""
        if record.levelno < logging.WARNING or threading.get_ident() != self._thread:
            return True
        try:
            self.reason = record.getMessage()
        except Exception:  # a message whose arguments do not fit it
            self.reason = str(record.msg)
        return False

    def _listen(self) -> None:
        known = logging.root.manager.loggerDict
        for name in [name for name in list(known) if name not in self._loggers and self._is_of_exporter(name)]:
            found = known.get(name)
            if isinstance(found, logging.Logger):
                found.addFilter(self)
                self._loggers.add(name)

    def _is_of_exporter(self, name: str) -> bool:
        return any(name == package or name.startswith(f"{package}.") for package in self._packages)


def _package_of(module: str) -> str:
    """The package whose loggers belong to an exporter: its module's, or for one in OpenTelemetry's the exporter's."""
    parts = module.split(".")
    if parts[:2] == ["opentelemetry", "exporter"]:
        return ".".join(parts[:3])
    return ".".join(parts[:-1]) or module
