"""Every test runs in an empty folder, with no ``OTEL_*`` variable and no configuration, and leaves the same behind."""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import TYPE_CHECKING

import hypothesis
import opentelemetry._logs._internal as logs_internal
import opentelemetry.metrics._internal as metrics_internal
import pytest
from firestore_emulator import emulator_host as emulator_host
from firestore_emulator import firestore_project as firestore_project
from opentelemetry import context, trace
from opentelemetry.util._once import Once
from routed import routed as routed  # a fixture of several files

from otel_tracker import diagnostics, enable, lifecycle, setting_sources, switch
from otel_tracker.delivery import lanes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The same examples in every run and no folder of them: a red test can be repeated, in any order and by any worker.
hypothesis.settings.register_profile("repeatable", deadline=None, database=None, derandomize=True, max_examples=60)
hypothesis.settings.load_profile("repeatable")

# The longest parts of the tests, by folder or file: marked `programs`, so that `pytest` alone stays below its limit.
_PROGRAMS = (
    "compat/test_telemetry.py",
    "delivery/test_beginnings.py",
    "docs/test_code_blocks.py",
    "docs/test_examples.py",
    "integration/",
    "metrics/test_delivery.py",
    "stores/hostile/",
    "stores/test_contract_files.py",
    "stores/test_sqlite_migration.py",
    "test_demo.py",
    "test_doctor.py",
    "test_hostile_routing.py",
    "test_lifecycle.py",
    "traced/test_hostile_context.py",
    "traced/test_hostile_events.py",
)

_VARIABLES = ("OTEL_", "TRACEPARENT", "TRACESTATE", "BAGGAGE")
_THREAD_NAMES = ("OtelBatch", "OtelPeriodic", "otel-tracker")
_THREAD_END_S = 5.0


def pytest_configure() -> None:
    """A shell lets what runs in the background ignore Ctrl-C, and so would the programs that tests end by it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before tests are left out by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands in the folders and files above."""
    folder = os.path.dirname(__file__)
    for item in items:
        if os.path.relpath(item.path, folder).replace(os.sep, "/").startswith(_PROGRAMS):
            item.add_marker("programs")


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the developer's environment before the test; afterwards the proof that nothing of ours is left."""
    variables = _without_variables()
    folder = os.getcwd()
    os.chdir(tmp_path)
    _forget_configuration()
    lanes.forget_closed()
    state_home = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    threads, handlers = set(threading.enumerate()), list(diagnostics.logger.handlers)
    yield
    left = [*_left_in_process(), *_left_threads(threads), *_left_handlers(handlers)]
    _forget_everything(handlers)
    os.chdir(folder)
    os.environ.update(variables)
    os.environ.pop("XDG_STATE_HOME")
    if state_home is not None:
        os.environ["XDG_STATE_HOME"] = state_home
    assert not left, f"the test left behind: {', '.join(left)}"


def _without_variables() -> dict[str, str]:
    return {name: os.environ.pop(name) for name in [*os.environ] if name.startswith(_VARIABLES)}


def _forget_configuration() -> None:
    setting_sources.arguments.clear()
    setting_sources.adopted.clear()
    lifecycle.forget_cached_settings()
    diagnostics.forget_said()
    enable()


def _left_in_process() -> Iterator[str]:
    if trace._TRACER_PROVIDER is not None:
        yield "a tracer provider"
    if logs_internal._LOGGER_PROVIDER is not None:
        yield "a logger provider"
    if metrics_internal._METER_PROVIDER is not None:
        yield "a meter provider"
    if trace.get_current_span() is not trace.INVALID_SPAN:
        yield "a current span"
    if lifecycle._installation is not None or lifecycle._is_shut_down:
        yield "the state of configure()"
    if not switch.is_enabled():
        yield "disable()"
    yield from (f"the variable {name}" for name in os.environ if name.startswith(_VARIABLES))


def _left_threads(before: set[threading.Thread]) -> Iterator[str]:
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith(_THREAD_NAMES):
            thread.join(_THREAD_END_S)
            if thread.is_alive():
                yield f"the thread {thread.name}"


def _left_handlers(before: list[logging.Handler]) -> Iterator[str]:
    yield from (f"the log handler {handler}" for handler in diagnostics.logger.handlers if handler not in before)


def _forget_everything(handlers: list[logging.Handler]) -> None:
    """What one test left must not fail the next as well."""
    trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = None, Once()
    logs_internal._LOGGER_PROVIDER, logs_internal._LOGGER_PROVIDER_SET_ONCE = None, Once()
    metrics_internal._METER_PROVIDER, metrics_internal._METER_PROVIDER_SET_ONCE = None, Once()
    metrics_internal._PROXY_METER_PROVIDER._real_meter_provider = None  # it goes on with one that was shut down
    if trace.get_current_span() is not trace.INVALID_SPAN:
        context.attach(context.Context())
    lifecycle._installation, lifecycle._is_shut_down = None, False
    diagnostics.logger.handlers[:] = handlers
    diagnostics.logger.setLevel(logging.NOTSET)
    _without_variables()
    _forget_configuration()
