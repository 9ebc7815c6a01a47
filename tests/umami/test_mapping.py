"""What of an event, or of a span, an analytics server is told, and what never leaves."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanKind

from otel_tracker import attributes as keys
from otel_tracker.recording import event_record, span_record
from otel_tracker_exporters.umami.analytics import Kind
from otel_tracker_exporters.umami.mapping import event_of, span_event_of
from otel_tracker_exporters.umami.options import Options, options_of
from otel_tracker_exporters.umami.state import Server
from otel_tracker_exporters.umami.umami_dialect import UmamiDialect

from .helpers import event, span
from .server import WEBSITE

TOKEN = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"  # the shape of a payment provider's key, from its public documentation
MOMENT_NS = 1_764_324_000_123_456_789  # 2025-11-28T10:00:00.123456789Z


def options(**given: Any) -> Options:
    return options_of({"endpoint": "https://umami.example.com", "website_id": WEBSITE, **given})


def payload(
    name: str = "order.placed",
    attributes: Mapping[str, Any] | None = None,
    resource: Resource | None = None,
    **given: Any,
) -> dict[str, Any]:
    """What is sent of an event; its `type` among it."""
    readable = event(name, attributes, time_ns=MOMENT_NS, resource=resource or Resource({"service.name": "My shop"}))
    record = event_record(readable)
    assert record is not None
    return encoded(event_of(record, options(**given), readable.log_record.attributes or {}), **given)


def span_payload(name: str, attributes: Mapping[str, Any], kind: SpanKind = SpanKind.SERVER, **given: Any) -> Any:
    readable = span(name, attributes, kind=kind, start_ns=MOMENT_NS)
    return encoded(span_event_of(span_record(readable), options(**given), attributes), **given)


def encoded(found: Any, **given: Any) -> dict[str, Any]:
    document = json.loads(UmamiDialect(options(**given), Server()).encode(found))
    return {"type": document["type"], **document["payload"]}


def test_event_outside_a_request_has_its_name_as_path_and_the_service_as_host() -> None:
    """Whole seconds in the field that takes no others, the exact time among the properties."""
    found = payload(attributes={"total": 9.99, "items": [1, 2], "buyer": {"plan": "pro"}})
    agent = found.pop("userAgent")
    assert agent.startswith("otel-tracker/")
    assert " (Python 3." in agent
    assert found == {
        "type": "event",
        "website": WEBSITE,
        "name": "order.placed",
        "url": "/order/placed",
        "hostname": "my-shop",
        "timestamp": 1_764_324_000,
        "data": {
            "time": "2025-11-28T10:00:00.123Z",
            "service.name": "My shop",
            "total": 9.99,
            "items": "[1,2]",
            "buyer.plan": "pro",
        },
    }


def test_event_of_a_request_has_its_path_host_route_visitor_language_and_referrer() -> None:
    """What the request's context stamps on it goes into the server's own fields, and into those alone."""
    attributes = {
        keys.URL_PATH: "/shop/7",
        keys.URL_QUERY: "token=1",
        keys.SERVER_ADDRESS: "Shop.example.com:8443",
        keys.HTTP_ROUTE: "/shop/<id>",
        keys.USER_ID: "u-1",
        keys.SESSION_ID: "s-1",
        keys.REQUEST_ID: "r-1",
        "http.request.header.referer": ["https://search.example/find?q=shoes#top"],
        "http.request.header.accept-language": ["de-AT,de;q=0.9"],
        keys.CLIENT_ADDRESS: "203.0.113.7",
        "network.peer.address": "203.0.113.7",
        "net.peer.ip": "203.0.113.7",
        keys.USER_AGENT_ORIGINAL: "Mozilla/5.0 (X11)",
        "code.file.path": "/srv/shop/shop.py",
    }
    resource = Resource({keys.DEPLOYMENT_ENVIRONMENT_NAME: "production"})
    found = payload(attributes=attributes, resource=resource)
    expected = {
        "url": "/shop/7",
        "hostname": "shop.example.com",
        "title": "/shop/<id>",
        "id": "u-1",
        "referrer": "https://search.example/find",
        "language": "de-AT",
        "tag": "production",
    }
    assert {key: found[key] for key in expected} == expected
    assert found["data"].keys() == {"time", keys.HTTP_ROUTE, keys.REQUEST_ID}
    assert "ip" not in found
    forwarded = payload(attributes=attributes, forward_client=True)
    assert (forwarded["ip"], forwarded["userAgent"]) == ("203.0.113.7", "Mozilla/5.0 (X11)")


def test_identify_sends_the_traits_of_a_visitor() -> None:
    """As Umami's own `identify`: properties of the session, nothing of the moment."""
    found = payload("identify", {keys.USER_ID: "u-1", "plan": "pro", keys.URL_PATH: "/login", keys.REQUEST_ID: "r"})
    assert (found["type"], found["id"], found["data"], found["url"]) == ("identify", "u-1", {"plan": "pro"}, "/login")
    assert "name" not in found
    assert payload("identify", {"plan": "pro"})["type"] == "event"


def test_server_span_is_a_page_view_without_a_name() -> None:
    """Umami counts nameless events as page views."""
    attributes = {
        keys.HTTP_REQUEST_METHOD: "GET",
        keys.URL_PATH: "/shop/7",
        keys.HTTP_ROUTE: "/shop/<id>",
        keys.HTTP_RESPONSE_STATUS_CODE: 200,
    }
    found = span_payload("GET /shop/<id>", attributes, page_views=True)
    assert "name" not in found
    assert (found["url"], found["title"], found["timestamp"]) == ("/shop/7", "/shop/<id>", 1_764_324_000)
    data = found["data"]
    assert (data["duration_ms"], data["status"], data[keys.HTTP_RESPONSE_STATUS_CODE]) == (12.0, "completed", 200)
    assert (data["trace_id"], data["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")


def test_named_span_is_an_event_without_its_arguments() -> None:
    """Captured arguments and results stay at home."""
    attributes = {f"{keys.ARGS_PREFIX}card": "private", keys.RESULT: "private", keys.MODULE: "shop", "step": 2}
    found = span_payload("shop.checkout", attributes, SpanKind.INTERNAL, spans="shop.*")
    assert (found["name"], found["url"], found["data"]["step"]) == ("shop.checkout", "/shop/checkout", 2)
    assert "private" not in json.dumps(found)


def test_long_names_do_not_merge() -> None:
    """50 UTF-16 units with a hash of the whole; the whole name is a property."""
    names = [f"{'checkout.' * 8}{ending}" for ending in ("begun", "done")]
    found = [payload(name) for name in names]
    assert [len(each["name"]) for each in found] == [50, 50]
    assert found[0]["name"] != found[1]["name"]
    assert [each["data"][keys.EVENT_NAME] for each in found] == names
    emoji = payload("\U0001f600" * 26)["name"]
    assert len(emoji.encode("utf-16-le")) // 2 <= 50


def test_revenue_needs_a_number_and_a_currency_on_a_named_event() -> None:
    """Anything else would cost the event its properties; the value stays, under another name."""
    assert payload(attributes={"revenue": "19.99", "currency": "EUR"})["data"]["revenue"] == 19.99
    assert payload(attributes={"revenue": True, "currency": "EUR"})["data"]["revenue_value"] is True
    assert "revenue" not in payload(attributes={"revenue": 5})["data"]
    view = span_payload("x", {keys.HTTP_METHOD: "GET", "revenue": 5, "currency": "EUR"}, page_views=True)
    assert view["data"]["revenue_value"] == 5


def test_private_things_never_leave() -> None:
    """E-mail addresses, query strings and tokens, in whatever field and however deep."""
    attributes = {
        keys.USER_ID: "jane.doe@example.com",
        keys.URL_PATH: "/users/jane.doe%40example.com/orders?token=hunter2",
        keys.HTTP_ROUTE: "/users/jane.doe@example.com",
        "mail": "write to <jane.doe@example.com>",
        "jane.doe@example.com": 1,
        f"login of {TOKEN}": 1,
        "deep": {"list": ["https://u:hunter2@h.example/p?token=hunter2#hunter2", {"a": "/find?q=hunter2"}]},
        "callback": "GET shop.example.com/cb?hunter2 failed",
        "form": "name=jane&secret=hunter2",
        "password": "hunter2",
        "http.request.header.referer": ["https://jane.doe@example.com:1/x?hunter2"],
    }
    text = json.dumps(payload(f"mail.sent to jane.doe@example.com for {TOKEN}", attributes))
    assert "hunter2" not in text
    assert TOKEN not in text
    assert "jane" not in text.lower()
    assert "h.example/p" in text
    assert "shop.example.com/cb failed" in text


def test_visitors_stay_apart() -> None:
    """An e-mail address, a long id and one that looks like a secret become hashes, each its own."""
    given = ["u-1", "u-2", "a@example.com", "b@example.com", "x" * 51, "x" * 52, "\ud800", "\ud801", "4111111111111111"]
    given += ["4242424242424242", 7]
    ids = [payload(attributes={keys.USER_ID: one})["id"] for one in given]
    assert len(set(ids)) == len(given)
    assert ids[:2] == ["u-1", "u-2"]
    assert ids[-1] == "7"
    assert all(len(one) == 32 for one in ids[2:-1])
    assert payload(attributes={keys.SESSION_ID: "s-1"})["id"] == "s-1"


def test_hash_key_hashes_every_id() -> None:
    """The same visitors, and no id of theirs anywhere; another key gives others."""
    found = payload(attributes={keys.USER_ID: "u-1", keys.SESSION_ID: "u-1"}, hash_key="pepper")
    assert len(found["id"]) == 32
    assert "u-1" not in json.dumps(found)
    assert payload(attributes={keys.USER_ID: "u-1"}, hash_key="salt")["id"] != found["id"]
    assert payload(attributes={keys.USER_ID: "u-1"}, hash_key="pepper")["id"] == found["id"]


def test_what_has_no_user_can_be_of_one_visitor_for_each_process() -> None:
    """Only where that is asked for, and never in place of a user or session."""
    resource = Resource({keys.SERVICE_INSTANCE_ID: "i-1"})
    assert "id" not in payload(resource=resource)
    assert payload(resource=resource, instance_visitor=True)["id"] == "i-1"
    assert payload(resource=resource, instance_visitor=True, attributes={keys.SESSION_ID: "s-1"})["id"] == "s-1"
    assert "i-1" not in json.dumps(payload(resource=resource, instance_visitor=True, hash_key="pepper"))


def test_attributes_can_be_chosen_by_globs() -> None:
    """Some, or all but some."""
    attributes = {"shop.id": 1, "internal.note": 2, "other": 3}
    assert payload(attributes=attributes)["data"].keys() >= {"shop.id", "internal.note", "other"}
    readable = event("x", attributes)
    record = event_record(readable)
    assert record is not None
    for globs, expected in (("shop.*", {"shop.id"}), ("!internal.*", {"shop.id", "other"})):
        found = event_of(record, options(attributes=globs), attributes)
        assert set(found.properties) & set(attributes) == expected


@pytest.mark.parametrize("time_ns", [0, 2**63 - 1, 4_102_444_800_000_000_000])
def test_event_of_no_time_or_of_tomorrow_is_of_now(time_ns: int) -> None:
    """A clock that was put back must not place events where no report looks."""
    record = event_record(event("x", time_ns=time_ns))
    assert record is not None
    found = event_of(record, options(), {})
    assert abs(found.time_ns - time.time_ns()) < 60 * 10**9
    assert found.kind is Kind.EVENT
