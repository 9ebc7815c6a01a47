"""What a program writes through ``logging`` is stored beside its spans where that is asked for, else nothing of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import Ended, launch_script, run_script

from otel_tracker import LogRecord, SpanRecord, open_store

from .matrix import needs

PROGRAM = """
import logging
from otel_tracker import flush, traced, track

@traced
def charge(amount):
    logging.getLogger("shop.pay").warning("refused %s, api_key=sk_live_4eC39HqLyjWDarjtT1zdp7dc", amount)
    track("payment.refused")
    try:
        1 / 0
    except ZeroDivisionError:
        logging.getLogger("shop.pay").exception("no way", extra={"order": 42})

charge(7)
logging.getLogger("shop").warning("closing")
logging.getLogger("shop").info("below the level of the root logger")
"""

needs_instrumentor = needs("opentelemetry.instrumentation.logging")


def stored(location: str = "otel-tracker.db") -> tuple[list[SpanRecord], list[LogRecord], int]:
    """The spans, the logs, oldest first, and how many events a store holds."""
    with open_store(location) as reader:
        spans, logs = list(reader.query_executions()), list(reader.logs())
        return spans[::-1], logs[::-1], len(list(reader.events()))


def check(ended: Ended) -> None:
    """Three log records, of which two belong to the traced function."""
    assert ended.status == 0, ended
    (span,), (refused, failed, closing), events = stored()
    assert events == 1
    assert (refused.logger, refused.severity, closing.logger, closing.body) == ("shop.pay", "WARN", "shop", "closing")
    assert refused.body.startswith("refused 7, api_key=")
    assert "4eC39HqLyjWDarjtT1zdp7dc" not in refused.body
    assert {(log.trace_id, log.span_id) for log in (refused, failed)} == {(span.trace_id, span.span_id)}
    assert (closing.trace_id, closing.span_id) == ("", "")
    assert (failed.severity, failed.attributes["order"], failed.error["type"]) == ("ERROR", 42, "ZeroDivisionError")
    assert failed.error["traceback"].startswith("Traceback")
    assert refused.resource == span.resource


@needs_instrumentor
def test_launched_program_has_its_logs_stored_by_one_variable() -> None:
    """Upstream's instrumentor of ``logging`` hands them over where the setting asks for them."""
    check(launch_script(PROGRAM, OTEL_TRACKER_LOGS_STORE="true"))


@needs_instrumentor
@pytest.mark.parametrize(
    "variables", [{}, {"OTEL_TRACKER_LOGS_STORE": "true", "OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION": "false"}]
)
def test_launched_program_that_does_not_ask_has_none_stored(variables: dict[str, str]) -> None:
    """Nor has one that tells the instrumentor to leave ``logging`` alone: its own variable goes first."""
    assert launch_script(PROGRAM, **variables).status == 0
    spans, logs, events = stored()
    assert (len(spans), logs, events) == (1, [], 1)


SDK_HANDLER = """
import logging, warnings
from otel_tracker import configure
configure()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from opentelemetry.sdk._logs import LoggingHandler
    logging.getLogger().addHandler(LoggingHandler())
"""


@pytest.mark.parametrize("is_stored", [True, False])
def test_program_with_the_handler_of_the_sdk_has_its_logs_stored(is_stored: bool) -> None:
    """After `configure()`, with any handler that emits log records: they are stored only where that is asked for."""
    Path("otel-tracker.yaml").write_text(f"logs: {{store: {str(is_stored).lower()}}}\n", encoding="utf-8")
    ended = run_script(SDK_HANDLER + PROGRAM)
    if is_stored:
        check(ended)
    else:
        assert ended.status == 0, ended
        assert stored()[1] == []
