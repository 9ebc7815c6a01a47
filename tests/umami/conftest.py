"""What was learnt of a server in one test is forgotten in the next: a port may be given out again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from otel_tracker_exporters.umami.state import forget_servers


@pytest.fixture(autouse=True)
def _unknown_servers() -> Iterator[None]:
    forget_servers()
    yield
    forget_servers()
