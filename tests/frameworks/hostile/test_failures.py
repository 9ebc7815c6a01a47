"""Whose fault it was: type and traceback of an exception, exactly once in a trace, and only where one failed."""

from __future__ import annotations

from typing import Any

import pytest

from otel_tracker import SpanRecord

from ..conftest import Stored
from .apps import DJANGO, DJANGO_ASGI, SITES

pytestmark = pytest.mark.slow


def exception_events(spans: list[SpanRecord]) -> list[str]:
    """The type that each exception event of the trace bears."""
    events = [event for span in spans for event in span.events if event["name"] == "exception"]
    return [str(event["attributes"]["exception.type"]) for event in events]


@pytest.mark.parametrize("site", SITES)
def test_answers_below_500_are_no_failures(stored: Stored, site: Any) -> None:
    """Also where an exception was the way to say so: `HTTPException`, `Http404`, `PermissionDenied`, one's own."""
    pages = ["/ok/1", "/nowhere", "/redirect", "/refused", "/answered", "/many", "/empty"]
    with site() as ask:
        for page in pages:
            assert ask(page).status < 500, page
    assert [(span.status, span.error) for span in stored.servers] == [("completed", {})] * len(pages)
    assert [span.name for span in stored.servers if "error.type" in span.attributes] == []
    assert exception_events(stored.spans) == []


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("page", ["/raises", "/middleware-raises"])
def test_unhandled_exception_is_told_once(stored: Stored, site: Any, page: str) -> None:
    """On the request's span: its real type, message and traceback, with the status that the client got."""
    with site() as ask:
        ask(page)
    server = stored.server
    assert server.status == "failed"
    assert server.attributes["error.type"] == "LookupError"
    assert (server.error["type"], server.error["message"]) == (
        "LookupError",
        "here" if page == "/raises" else "middleware",
    )
    assert "raise " in str(server.error["traceback"])
    assert exception_events(stored.spans) == ["LookupError"]
    assert server.attributes["http.response.status_code"] == 500


@pytest.mark.parametrize("site", SITES)
def test_exception_that_is_answered_with_a_5xx_page_is_a_failure_told_at_most_once(stored: Stored, site: Any) -> None:
    """The program has an answer ready, and it is one of failure."""
    with site() as ask:
        assert ask("/broken-page").status == 503
    server = stored.server
    assert server.status == "failed"
    assert str(server.attributes["error.type"]).rpartition(".")[2] in {"BrokenError", "503"}
    assert len(exception_events(stored.spans)) <= 1
    assert server.attributes["http.response.status_code"] == 503


@pytest.mark.parametrize("site", SITES)
def test_body_that_raises_after_its_headers_is_a_failure_told_once(stored: Stored, site: Any) -> None:
    """The client has a status of 200 by then; the trace knows better."""
    with site() as ask:
        answer = ask("/stream-raises")
    assert (answer.status, answer.body) == (200, b"a")
    assert stored.server.status == "failed"
    assert stored.server.attributes["error.type"] == "LookupError"
    assert exception_events(stored.spans) == ["LookupError"]


@pytest.mark.parametrize("site", SITES)
def test_end_of_a_request_that_raises_is_told_at_most_once(stored: Stored, site: Any) -> None:
    """Teardown functions, background tasks, and the closing of a response."""
    with site() as ask:
        ask("/teardown-raises")
    assert exception_events(stored.spans) in ([], ["LookupError"])
    assert len(stored.servers) == 1


@pytest.mark.parametrize("site", [DJANGO, DJANGO_ASGI])
def test_asynchronous_views_are_told_of_alike(stored: Stored, site: Any) -> None:
    """Coroutines under WSGI and under ASGI."""
    with site() as ask:
        assert ask("/async-ok/3", [("X-Request-ID", b"r-1")]).request_id == "r-1"
        assert ask("/async-pool/3").status == 200
        stored.exported_spans.clear()
        assert ask("/async-raises").status == 500
    assert stored.server.attributes["error.type"] == "LookupError"
    assert exception_events(stored.spans) == ["LookupError"]
