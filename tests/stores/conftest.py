"""Fixtures of the store tests: each kind of store, and what was said in the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_tracker.diagnostics import forget_said

from .helpers import SUFFIXES, StoreUnderTest


@pytest.fixture(autouse=True)
def _nothing_said_yet() -> Iterator[None]:
    """Each test hears every sentence anew."""
    forget_said()
    yield
    forget_said()


@pytest.fixture(params=sorted(SUFFIXES))
def kind(request: pytest.FixtureRequest) -> str:
    """The name of every store in turn."""
    return str(request.param)


@pytest.fixture
def store(kind: str, tmp_path: Path) -> Iterator[StoreUnderTest]:
    """An empty place for a store of every kind in turn; all that a test opened on it is closed afterwards."""
    under_test = StoreUnderTest(kind, tmp_path / f"store{SUFFIXES[kind]}")
    yield under_test
    under_test.close()


@pytest.fixture
def sentences(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the package has said so far, live."""
    caplog.set_level(logging.WARNING, "otel_tracker")

    class _Sentences(list[str]):
        def __iter__(self) -> Iterator[str]:
            return iter([record.getMessage() for record in caplog.records if record.name == "otel_tracker"])

        def __len__(self) -> int:
            return len(list(iter(self)))

    return _Sentences()
