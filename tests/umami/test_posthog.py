"""The `posthog` dialect, against a recording of PostHog's published contract."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.sdk._logs import LoggerProvider

from otel_tracker import attributes as keys
from otel_tracker import delivery_report
from otel_tracker.processors import DurableLogRecordProcessor
from otel_tracker_exporters.umami import UmamiLogExporter

from .helpers import NEVER_MS, check_outcome, check_report, emit, event, events, log_exporter, span, span_exporter
from .server import Reply, Request, UmamiServer, serving

pytest.importorskip("httpx", reason="the umami extra is not installed")

KEY = "phc_project"
POSTHOG: dict[str, Any] = {"dialect": "posthog", "website_id": KEY}


def recorded(request: Request) -> Reply:
    """What https://posthog.com/docs/api/capture says of ``/batch/``: 200, or 400 for a batch that is none."""
    if request.path != "/batch/":
        return Reply(404, "")
    told = json.loads(request.body)
    entries = told.get("batch")
    if told.get("api_key") != KEY:
        return Reply(401, '{"type": "authentication_error", "code": "invalid_api_key"}')
    for entry in entries:
        if not entry["event"] or not entry["distinct_id"] or not isinstance(entry["properties"], dict):
            return Reply(400, '{"type": "validation_error"}')
        UUID(entry["uuid"])
        time.strptime(entry["timestamp"], "%Y-%m-%dT%H:%M:%S.%fZ")
    return Reply(200, '{"status": 1}')


def entries_of(server: UmamiServer) -> list[dict[str, Any]]:
    return [entry for request in server.requests for entry in json.loads(request.body)["batch"]]


def test_events_page_views_and_identities_take_posthogs_own_forms() -> None:
    """Nested properties stay nested; a visitor without an id makes no person; nothing private leaves."""
    attributes = {keys.USER_ID: "u-1", keys.URL_PATH: "/shop", "deep": {"list": [1, "a@example.com"]}}
    with serving() as server, log_exporter(server, **POSTHOG) as exporter:
        server.always = recorded
        identify = event("identify", {keys.USER_ID: "u-1", "plan": "pro"})
        assert exporter.deliver([event("order.placed", attributes), event("a"), identify]).exported == 3
        placed, anonymous, introduced = entries_of(server)
        assert (placed["event"], placed["distinct_id"]) == ("order.placed", "u-1")
        assert placed["properties"]["$current_url"] == "https://shop/shop"
        assert placed["properties"]["deep"] == {"list": [1, "[redacted]"]}
        assert anonymous["properties"]["$process_person_profile"] is False
        assert (introduced["event"], introduced["properties"]["$set"]) == ("$identify", {"plan": "pro"})
    with serving() as server, span_exporter(server, page_views=True, **POSTHOG) as other:
        server.always = recorded
        other.deliver([span(attributes={keys.HTTP_REQUEST_METHOD: "GET", keys.URL_PATH: "/x?y=z"})])
        (view,) = entries_of(server)
        assert (view["event"], view["properties"]["$pathname"]) == ("$pageview", "/x")


def test_repeated_event_has_the_same_uuid_and_others_have_others() -> None:
    """Also with its lists as a journal gives them back: the server recognises it, so that a retry is safe."""
    one = event("order.placed", {"items": (1, 2), "total": 9.5}, time_ns=1_764_324_000_000_000_000)
    again = event("order.placed", {"items": [1, 2], "total": 9.5}, time_ns=1_764_324_000_000_000_000)
    other = event("order.placed", {"items": (1, 3), "total": 9.5}, time_ns=1_764_324_000_000_000_000)
    with serving() as server, log_exporter(server, **POSTHOG) as exporter:
        server.always = recorded
        for item in (one, one, again, other):
            exporter.deliver([item])
        uuids = [entry["uuid"] for entry in entries_of(server)]
        assert len(set(uuids[:3])) == 1
        assert uuids[3] != uuids[0]


@pytest.mark.parametrize("reply", [Reply(500, ""), Reply(503, ""), Reply(504, ""), Reply(429, "")])
def test_what_got_no_good_answer_is_sent_again(reply: Reply) -> None:
    """A repeated event does no harm there, so nothing is unknown."""
    sent = events(60)
    with serving() as server, log_exporter(server, **POSTHOG) as exporter:
        server.always = recorded
        assert exporter.may_repeat
        server.replies.append(reply)
        outcome = exporter.deliver(sent)
        assert (outcome.again, outcome.unknown, outcome.dropped) == (sent, 0, {})
        assert exporter.deliver(sent).exported == 60
        assert max(len(json.loads(request.body)["batch"]) for request in server.requests) == 50


def test_broken_connection_is_tried_again_too() -> None:
    """Where Umami's events would become unknown."""
    sent = events(3)
    with serving() as server, log_exporter(server, **POSTHOG) as exporter:
        server.always = recorded
        server.replies.append(Reply(None))
        outcome = exporter.deliver(sent)
        assert (outcome.again, outcome.unknown) == (sent, 0)


def test_wrong_key_and_wrong_server_end_the_asking() -> None:
    """As for Umami, under names of this dialect; the key is in no report."""
    with serving() as server, log_exporter(server, dialect="posthog", website_id="phc_wrong") as exporter:
        server.always = recorded
        assert exporter.deliver(events(60)).dropped == {"posthog_forbidden": 60}
        assert "phc_wrong" not in exporter.destination
        assert exporter.destination.endswith(server.url)
    with serving() as server, log_exporter(server, **POSTHOG) as exporter:
        outcome = exporter.deliver(events(2))
        check_outcome(outcome, 2)
        assert outcome.dropped == {"posthog_endpoint": 2}


def test_lane_in_front_adds_up() -> None:
    """With the real processor; a batch that is refused is taken apart."""
    with serving() as server:
        exporter = UmamiLogExporter(endpoint=server.url, **POSTHOG)
        processor = DurableLogRecordProcessor(exporter, schedule_delay_millis=NEVER_MS)
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(processor)
        server.always = recorded
        server.replies += [Reply(400, "bad"), Reply(400, "bad")]
        emit(provider, 10)
        assert processor.force_flush(10_000)
        assert delivery_report().dropped == {"posthog_rejected": 1}
        check_report(10)
        provider.shutdown()
