"""Two hundred requests by sixteen threads, some of which fail: each is its own, whichever framework serves it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .conftest import Stored
from .sites import SITES

REQUESTS, THREADS = 200, 16
SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "site", [*SITES[-1:], *(pytest.param(*site.values, id=site.id, marks=[*site.marks, SLOW]) for site in SITES[:-1])]
)
def test_requests_in_threads_never_get_anothers_user_or_id(stored: Stored, site: Any) -> None:
    """No handler clears what it says; the next one of its thread begins with nothing but its own id."""

    def served(number: int) -> tuple[int, str]:
        path = "failing-who" if number % 4 == 0 else "who"
        answer = ask(f"/{path}/{number}", {"X-Request-ID": f"r{number}"})
        return answer.status, answer.body

    with site() as ask:
        ask("/who/0", {"X-Request-ID": "r0"})  # what is made once is not made by sixteen threads
        with ThreadPoolExecutor(THREADS) as threads:
            answers = list(threads.map(served, range(1, REQUESTS)))
    known = [json.loads(body) for status, body in answers if status == 200]
    assert known == [{"request_id": f"r{number}"} for number in range(1, REQUESTS) if number % 4]
    assert sum(status == 500 for status, _ in answers) == REQUESTS // 4 - 1
    assert len(stored.events) == len(stored.servers) == REQUESTS
    for event in stored.events:
        number = event.properties["number"]
        assert event.properties["user.id"] == f"u{number}"
        assert event.properties["otel_tracker.request_id"] == f"r{number}"
    for server in stored.servers:
        number = server.attributes["url.path"].rpartition("/")[2]
        assert server.attributes["user.id"] == f"u{number}"
        assert server.attributes["otel_tracker.request_id"] == f"r{number}"
        assert (server.status == "failed") == ("failing" in server.attributes["url.path"])
