"""What a client gets, and what a server sees raised, is the same with and without us, whatever is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from ..conftest import Stored
from .apps import SITES
from .calls import Answer

REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("/ok/1", {}),
    ("/ok/1", {"method": "HEAD"}),
    ("/ok/1?token=abc&x=%ff%00&=&&a=b=c", {}),
    ("/nowhere", {}),
    ("/caf%C3%A9/%ff", {}),
    ("/redirect", {}),
    ("/refused", {}),
    ("/raises", {}),
    ("/raises", {"method": "HEAD"}),
    ("/answered", {}),
    ("/broken-page", {}),
    ("/stream", {}),
    ("/stream", {"method": "HEAD"}),
    ("/stream", {"take": 1}),
    ("/stream-raises", {}),
    ("/stream-raises", {"take": 1}),
    ("/many", {}),
    ("/empty", {}),
    ("/no-signal", {}),
    ("/own-id", {}),
    ("/middleware-raises", {}),
    ("/teardown-raises", {}),
    ("/health", {}),
    ("/echo", {"method": "POST", "body": b"\x00\xff" * 9}),
    ("/echo", {"method": "PUT"}),
    ("/pool/1", {}),
    ("/ok/1", {"method": "BREW"}),
]

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("site", SITES)]


def seen(answer: Answer) -> tuple[Any, ...]:
    """All that there is of an answer but the id that we add."""
    ours = [] if ("x-request-id", b"mine") in answer.headers else ["x-request-id"]
    headers = [header for header in answer.headers if header[0] not in ours]
    return answer.status, headers, answer.parts, type(answer.raised), str(answer.raised)


def test_answers_are_the_same_to_the_byte(stored: Stored, site: Any) -> None:
    """Status, headers and their order, the parts of the body, and what is raised into the server."""
    with site(is_instrumented=False) as ask:
        alone = [seen(ask(target, **how)) for target, how in REQUESTS]
    with site() as ask:
        observed = [seen(ask(target, **how)) for target, how in REQUESTS]
    differences = [each for each in zip(REQUESTS, alone, observed, strict=True) if each[1] != each[2]]
    assert differences == []


def test_every_request_leaves_one_span_and_nothing_behind(stored: Stored, site: Any) -> None:
    """Also where a middleware, a body or the end of the request raises, or the client goes: no next one is below it."""
    from opentelemetry import trace

    from otel_tracker import get_context

    with site() as ask:
        for target, how in REQUESTS:
            stored.exported_spans.clear()
            ask(target, **how)
            assert trace.get_current_span() is trace.INVALID_SPAN, target
            assert dict(get_context()) == {}, target
            expected = 0 if target == "/health" else 1
            assert len(stored.servers) == expected, (target, how, [span.name for span in stored.spans])
            assert all(span.parent_span_id == "" or span.kind != "server" for span in stored.spans), target
            ids = {span.span_id for span in stored.servers}
            assert all(span.parent_span_id in ids for span in stored.spans if span.kind != "server"), target
            assert {span.attributes.get("otel_tracker.request_id") for span in stored.spans} <= {
                span.trace_id for span in stored.servers
            }, target
