"""Events and page views of a request arrive in Umami with the page, without a word of the program's."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from umami.helpers import log_exporter, span_exporter
from umami.server import serving

from otel_tracker import set_context, track

from .conftest import Stored
from .sites import SITES

pytest.importorskip("httpx", reason="the umami extra is not installed")
pytestmark = pytest.mark.parametrize("site", SITES)

HEADERS = {
    "Host": "shop.example:8000",
    "Referer": "https://search.example/find?q=secret",
    "Accept-Language": "de-AT,de;q=0.8,en;q=0.5",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
}


def test_event_has_the_page_of_its_request(stored: Stored, site: Any) -> None:
    """Path, host, title, referrer and language; nothing of the visitor."""
    with serving() as server, log_exporter(server) as exporter, site() as ask:
        stored.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        ask("/items/3?token=abc", HEADERS)
        payload = server.payloads[0]
    assert payload["name"] == "worked"
    assert (payload["url"], payload["hostname"]) == ("/items/3", "shop.example")
    assert "items/" in payload["title"]
    assert (payload["referrer"], payload["language"]) == ("https://search.example/find", "de-AT")
    assert "ip" not in payload
    assert HEADERS["User-Agent"] not in str(payload)
    assert "secret" not in str(payload)
    assert "client.address" not in stored.events[0].properties
    assert "user_agent.original" not in stored.events[0].properties


def test_event_has_the_visitor_where_that_was_asked_for(stored: Stored, site: Any) -> None:
    """Umami finds country and browser in them."""
    with serving() as server, log_exporter(server, forward_client=True) as exporter, site() as ask:
        stored.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        ask("/items/3", HEADERS)
        payload = server.payloads[0]
    assert (payload["ip"], payload["userAgent"]) == ("127.0.0.1", HEADERS["User-Agent"])


def test_span_that_is_sent_by_its_name_has_the_page_of_its_request(stored: Stored, site: Any) -> None:
    """As an event there has; and only where such spans are sent."""
    with serving() as server, span_exporter(server, spans=["*work.work"]) as exporter, site() as ask:
        stored.tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
        ask("/items/3?token=abc", HEADERS)
        payload = server.payloads[0]
    assert (payload["url"], payload["hostname"]) == ("/items/3", "shop.example")
    assert "items/" in payload["title"]
    assert (payload["referrer"], payload["language"]) == ("https://search.example/find", "de-AT")
    with site() as ask:
        ask("/items/3", HEADERS)
    told, untold = (span for span in stored.spans if span.function == "work")
    assert told.attributes["url.path"] == "/items/3"
    assert "url.path" not in untold.attributes


def test_what_the_program_says_goes_before(stored: Stored, site: Any) -> None:
    """`set_context` in a hook, as without an instrumentor."""

    def say(span: Any, carrier: Any) -> None:
        set_context(path="/elsewhere", hostname="other.example", user_id="u1")

    with serving() as server, log_exporter(server) as exporter, site(request_hook=say) as ask:
        stored.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        ask("/who/5", HEADERS)
        payload = server.payloads[0]
    assert payload["id"] == "u5"
    assert (payload["url"], payload["hostname"]) == ("/elsewhere", "other.example")


def test_page_view_has_referrer_and_language(stored: Stored, site: Any) -> None:
    """Without the instrumentor's own variable for headers."""
    with serving() as server, span_exporter(server, page_views=True) as exporter, site() as ask:
        stored.tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
        ask("/items/3", HEADERS)
        payload = server.payloads[-1]
    assert "name" not in payload
    assert (payload["url"], payload["hostname"]) == ("/items/3", "shop.example")
    assert (payload["referrer"], payload["language"]) == ("https://search.example/find", "de-AT")


def test_nothing_is_on_events_that_nobody_asks_for(stored: Stored, site: Any) -> None:
    """An exporter that was shut down asks for nothing any more."""
    with serving() as server, log_exporter(server), site() as ask:
        pass
    with site() as ask:
        ask("/items/3", HEADERS)
        track("outside")
    assert set(stored.events[0].properties) == {"number", "otel_tracker.request_id"}
    assert stored.events[1].properties == {}
