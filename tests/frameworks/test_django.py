"""What is Django's own: users that are loaded when asked for, asynchronous views, its middleware's place."""

from __future__ import annotations

import asyncio

import pytest

from .conftest import Stored
from .sites import django_site

django = pytest.importorskip("django")
pytest.importorskip("opentelemetry.instrumentation.django")


def test_user_is_on_what_comes_after_the_application_has_asked_for_it(stored: Stored) -> None:
    """Nothing is loaded for our sake, least of all from a database."""
    with django_site() as ask:
        from .django_site import User

        User.loaded = 0
        ask("/items/3")
        assert User.loaded == 0
        ask("/logged-in")
        assert User.loaded == 1
    assert "user.id" not in stored.servers[0].attributes
    assert stored.servers[1].attributes["user.id"] == "7"
    assert stored.events[1].properties["user.id"] == "7"


def test_asynchronous_requests_are_described_alike(stored: Stored) -> None:
    """As an ASGI application: id, context, host, query, and the way below the request's span."""
    with django_site():
        from django.test import AsyncClient

        client = AsyncClient()
        response = asyncio.run(client.get("/async-items/3?token=abc&page=2", X_REQUEST_ID="r1"))
    assert response["X-Request-ID"] == "r1"
    server = stored.server
    assert server.attributes["url.path"] == "/async-items/3"
    assert server.attributes["url.query"] == "token=[redacted]&page=2"
    assert server.attributes["server.address"] == "testserver"
    assert stored.function("work").parent_span_id == server.span_id
    assert {span.attributes["otel_tracker.request_id"] for span in stored.spans} == {"r1"}


@pytest.mark.skipif(django.VERSION < (4, 2), reason="needs Django 4.2, which has asynchronous streams")
def test_asynchronous_stream_stays_in_its_trace(stored: Stored) -> None:
    """Each step of it, in whatever task the server takes it."""

    async def read() -> bytes:
        from django.test import AsyncClient

        response = await AsyncClient().get("/async-stream")
        return b"".join([part async for part in response])

    with django_site():
        assert asyncio.run(read()) == b"ab"
    assert stored.function("work").parent_span_id == stored.server.span_id


def test_request_for_which_there_is_no_view_is_no_error(stored: Stored) -> None:
    """It has no route either."""
    with django_site() as ask:
        assert ask("/nowhere").status == 404
    assert (stored.server.status, stored.server.attributes["url.path"]) == ("completed", "/nowhere")


def test_calling_twice_adds_one_middleware(stored: Stored) -> None:
    """By whatever way it is called."""
    from otel_tracker.frameworks.django import activate, instrument

    with django_site() as ask:
        activate()
        instrument()
        ask("/items/3")
    assert len(stored.spans) == 2
