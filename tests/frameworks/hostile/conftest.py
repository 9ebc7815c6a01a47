"""No test of this folder may make OpenTelemetry, or us, complain of what the program did."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


class _Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def complaints() -> Iterator[list[str]]:
    """What was logged; a test that expects something takes it out."""
    handler = _Complaints()
    loggers = [logging.getLogger(name) for name in ("opentelemetry", "otel_tracker")]
    for logger in loggers:
        logger.addHandler(handler)
    yield handler.said
    for logger in loggers:
        logger.removeHandler(handler)
    assert handler.said == []
