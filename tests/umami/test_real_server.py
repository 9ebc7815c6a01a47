"""Against a real Umami, where one is named: it creates a website, sends, reads back by the REST API, and removes it.

``OTEL_TRACKER_TEST_UMAMI_URL``, ``_USER`` and ``_PASSWORD`` name the server and an account that may create websites.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support import wait_until

from otel_tracker import attributes as keys
from otel_tracker_exporters.umami import UmamiLogExporter, UmamiSpanExporter, probe

from .helpers import event, events, span

httpx = pytest.importorskip("httpx", reason="the umami extra is not installed")

# Read when the module is imported: each test begins without variables of this prefix.
URL, USER, PASSWORD = (os.environ.get(f"OTEL_TRACKER_TEST_UMAMI_{name}", "") for name in ("URL", "USER", "PASSWORD"))

pytestmark = pytest.mark.skipif(not URL, reason="OTEL_TRACKER_TEST_UMAMI_URL names no Umami server")


@pytest.fixture
def api() -> Iterator[Any]:
    """A client of the server's REST API, logged in."""
    with httpx.Client(base_url=URL, timeout=60) as client:
        login = client.post("/api/auth/login", json={"username": USER, "password": PASSWORD})
        login.raise_for_status()
        client.headers["Authorization"] = f"Bearer {login.json()['token']}"
        yield client


@pytest.fixture
def website(api: Any) -> Iterator[str]:
    """A website of this test's own."""
    made = api.post("/api/websites", json={"name": "otel-tracker test", "domain": "shop.example.com"})
    made.raise_for_status()
    website_id = made.json()["id"]
    yield website_id
    api.delete(f"/api/websites/{website_id}").raise_for_status()


def stored(api: Any, website: str) -> list[dict[str, Any]]:
    span_ms = {"startAt": int((time.time() - 3_600) * 1000), "endAt": int((time.time() + 60) * 1000)}
    found = api.get(f"/api/websites/{website}/events", params={**span_ms, "pageSize": 1000})
    found.raise_for_status()
    return list(found.json()["data"])


def test_events_and_page_views_can_be_read_back(api: Any, website: str) -> None:
    """What counts as exported is there, hostile values and all, once each."""
    hostile = {"text": "x" * 900, "number": 1.79e18, "nul": "a\0b", "date": "2024-13-45T99:99:99", "revenue": True}
    sent = [*events(60), event("hostile", {**hostile, keys.USER_ID: "jane@example.com", keys.SERVER_ADDRESS: "::1"})]
    exporter = UmamiLogExporter(endpoint=URL, website_id=website)
    outcome = exporter.deliver(sent)
    exporter.shutdown()
    assert outcome.exported == len(sent), outcome
    views = UmamiSpanExporter(endpoint=URL, website_id=website, page_views=True)
    attributes = {keys.HTTP_REQUEST_METHOD: "GET", keys.URL_PATH: "/shop/7"}
    assert views.deliver([span(attributes=attributes)]).exported == 1
    views.shutdown()
    wait_until(lambda: len(stored(api, website)) == len(sent) + 1)
    found = stored(api, website)
    names = {*(f"event {index}" for index in range(60)), "hostile"}
    assert {one["eventName"] for one in found if one["eventName"]} == names
    assert [one["urlPath"] for one in found if not one["eventName"]] == ["/shop/7"]


def test_bot_and_doctor(website: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A User-Agent of a plain client is dropped, and that is noticed; ours is not."""
    exporter = UmamiLogExporter(endpoint=URL, website_id=website, user_agent="python-requests/2.32")
    assert exporter.deliver(events(3)).dropped == {"umami_bot": 3}
    exporter.shutdown()
    monkeypatch.setenv("OTEL_TRACKER_UMAMI_ENDPOINT", URL)
    monkeypatch.setenv("OTEL_TRACKER_UMAMI_WEBSITE_ID", website)
    assert [verdict for verdict, _ in probe()] == ["ok"]
