"""Records with known contents, stores of them, and how the program is called."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from otel_tracker.records import COMPLETED, FAILED, EventRecord, LogRecord, Record, SpanRecord
from otel_tracker_exporters.sqlite.writer import SqliteWriter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

S = 1_000_000_000
MS = 1_000_000
NOON_NS = 1_795_348_800 * S  # 2026-11-22T12:00:00Z

SHOP_TRACE = "a1" * 16
OTHER_TRACE = "b2" * 16

TRACEBACK = """Traceback (most recent call last):
  File "/shop/cart.py", line 7, in total
    return sum(prices) / len(prices)
           ~~~~~~~~~~~~^~~~~~~~~~~~~
ZeroDivisionError: division by zero
"""

RESOURCE = {"service.name": "shop"}

REQUEST = SpanRecord(
    trace_id=SHOP_TRACE,
    span_id="01" * 8,
    name="GET /cart",
    kind="server",
    start_ns=NOON_NS,
    end_ns=NOON_NS + 250 * MS,
    status=FAILED,
    status_code="ERROR",
    error={"type": "500"},
    attributes={"http.response.status_code": 500},
    resource=RESOURCE,
)
CHECKOUT = SpanRecord(
    trace_id=SHOP_TRACE,
    span_id="02" * 8,
    parent_span_id="01" * 8,
    name="shop.cart.Cart.checkout",
    module="shop.cart",
    function="Cart.checkout",
    start_ns=NOON_NS + 10 * MS,
    end_ns=NOON_NS + 240 * MS,
    status=FAILED,
    status_code="ERROR",
    args={"user": "ada"},
    error={"type": "ZeroDivisionError", "message": "division by zero"},
    resource=RESOURCE,
)
TOTAL = SpanRecord(
    trace_id=SHOP_TRACE,
    span_id="03" * 8,
    parent_span_id="02" * 8,
    name="shop.cart.total",
    module="shop.cart",
    function="total",
    start_ns=NOON_NS + 20 * MS,
    end_ns=NOON_NS + 30 * MS,
    status=FAILED,
    status_code="ERROR",
    args={"prices": []},
    error={"type": "ZeroDivisionError", "message": "division by zero", "traceback": TRACEBACK},
    resource=RESOURCE,
)
LATER = SpanRecord(
    trace_id=OTHER_TRACE,
    span_id="04" * 8,
    name="shop.cart.total",
    module="shop.cart",
    function="total",
    start_ns=NOON_NS + 60 * S,
    end_ns=NOON_NS + 60 * S + 5 * MS,
    status=COMPLETED,
    args={"prices": [1, 2]},
    result=1.5,
    has_result=True,
    resource=RESOURCE,
)
SPANS = (REQUEST, CHECKOUT, TOTAL, LATER)
"""Oldest first."""

EVENTS = (
    EventRecord("cart.opened", NOON_NS + 11 * MS, trace_id=SHOP_TRACE, span_id="02" * 8, properties={"items": 0}),
    EventRecord("user.left", NOON_NS + 90 * S, properties={"reason": "bored"}),
)
"""Oldest first."""

LOGS = (
    LogRecord(NOON_NS + 12 * MS, "DEBUG", "opened", "shop.cart", SHOP_TRACE, "02" * 8),
    LogRecord(
        NOON_NS + 25 * MS,
        "ERROR",
        "no prices\x1b[31m",
        "shop.cart",
        SHOP_TRACE,
        "03" * 8,
        error={"type": "ZeroDivisionError", "message": "division by zero"},
    ),
    LogRecord(NOON_NS + 91 * S, "WARNING", {"queue": 7}, "worker"),
)
"""Oldest first."""


def program(*arguments: str | Path) -> list[str]:
    """The command line of `otel-tracker` in this interpreter."""
    return [sys.executable, "-m", "otel_tracker", *map(str, arguments)]


def plain_environment(**variables: str) -> dict[str, str]:
    """This environment without what could change the program's output or the store that it reads."""
    dropped = ("OTEL_", "COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "PYTHONUTF8": "1", "PYTHONWARNINGS": "error", **variables}


def write_store(path: Path, spans: Iterable[Record] = (), events: Iterable[EventRecord] = ()) -> Path:
    """A SQLite store with these records."""
    writer = SqliteWriter(str(path))
    assert writer.write(spans)
    assert writer.write(events)
    writer.close()
    return path


def json_lines(text: str) -> list[dict[str, Any]]:
    """What `--json` printed."""
    return [json.loads(line) for line in text.splitlines()]
