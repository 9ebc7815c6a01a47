"""The lean engine with a real provider, and the proof that a test leaves no context behind."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace

from otel_tracker import enable

from .helpers import Collected, engine, provider

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def no_token_astray() -> Iterator[None]:
    """After the test no span is current, and OpenTelemetry reported no context token that went astray."""
    handler = _Messages()
    logging.getLogger("opentelemetry.context").addHandler(handler)
    yield
    logging.getLogger("opentelemetry.context").removeHandler(handler)
    enable()
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert handler.texts == []


@pytest.fixture
def lean() -> Iterator[Collected]:
    """What a global SDK provider received while the lean engine is on."""
    with engine("lean"), provider() as collected:
        yield collected


@pytest.fixture
def tracer(lean: Collected) -> trace.Tracer:
    """Somebody else's tracer of the same provider: its spans are the SDK's own."""
    return lean.provider.get_tracer("somebody.else")


@pytest.fixture
def hurried_threads() -> Iterator[None]:
    """Threads take turns as often as the interpreter allows, and the warnings of late writes are not kept."""
    interval, logger = sys.getswitchinterval(), logging.getLogger("opentelemetry.sdk.trace")
    sys.setswitchinterval(1e-6)
    logger.setLevel(logging.ERROR)
    logging.getLogger("opentelemetry.attributes").setLevel(logging.ERROR)
    yield
    sys.setswitchinterval(interval)
    logger.setLevel(logging.NOTSET)
    logging.getLogger("opentelemetry.attributes").setLevel(logging.NOTSET)


class _Messages(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
