"""A visitor is introduced to Umami once for each change of what is known, not at each request."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk._logs import ReadableLogRecord

from otel_tracker import attributes as keys

from .helpers import check_outcome, event, log_exporter
from .server import Reply, serving

pytest.importorskip("httpx", reason="the umami extra is not installed")


def identify(user_id: str, **traits: Any) -> ReadableLogRecord:
    return event("identify", {keys.USER_ID: user_id, **traits})


def test_same_identity_is_sent_once() -> None:
    """In one batch and over many; each item of a batch is counted all the same."""
    with serving() as server, log_exporter(server) as exporter:
        for _ in range(3):
            outcome = exporter.deliver([identify("u-1", plan="pro"), identify("u-2"), identify("u-1", plan="pro")])
            assert outcome.exported == 3
        assert [payload["id"] for payload in server.payloads] == ["u-1", "u-2"]
        assert server.database.sessions["u-1"] == {"plan": "pro"}
        assert server.database.events == []


def test_changed_traits_are_sent_in_their_order() -> None:
    """Also when they change back: the last word stays."""
    with serving() as server, log_exporter(server) as exporter:
        plans = ["free", "pro", "free", "free"]
        exporter.deliver([identify("u-1", plan=plan) for plan in plans])
        assert [payload["data"]["plan"] for payload in server.payloads] == ["free", "pro", "free"]
        exporter.deliver([identify("u-1", plan="pro")])
        assert server.database.sessions["u-1"] == {"plan": "pro"}


@pytest.mark.parametrize("reply", [Reply(503, ""), Reply(None), Reply(400, "no")])
def test_identity_that_did_not_arrive_is_sent_the_next_time(reply: Reply) -> None:
    """Whatever became of the first one; those that repeat it in a batch share its fate."""
    with serving() as server, log_exporter(server) as exporter:
        server.replies.append(reply)
        outcome = exporter.deliver([identify("u-1"), identify("u-1")])
        check_outcome(outcome, 2)
        assert outcome.exported == 0
        assert exporter.deliver([identify("u-1")]).exported == 1
        assert len(server.requests) == 2


def test_visitors_events_belong_to_the_session_that_was_introduced() -> None:
    """The same id on both, hashed or not."""
    with serving() as server, log_exporter(server, hash_key="pepper") as exporter:
        exporter.deliver([identify("u-1", plan="pro"), event("order.placed", {keys.USER_ID: "u-1"})])
        (session,) = server.database.sessions
        assert server.database.events[0]["session"] == session != "u-1"
        assert server.database.sessions[session] == {"plan": "pro"}
