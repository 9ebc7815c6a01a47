"""Under the launcher an application that knows nothing of us says whose its requests are."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import launch_script, stored_events, stored_spans

from .matrix import needs

WORK = """
from otel_tracker import traced, track
@traced
def work():
    track("worked")
    return "ok"
"""
FLASK = """
from flask import Flask
from work import work
app = Flask("shop")
app.add_url_rule("/items", "items", work)
app.add_url_rule("/health", "health", work)
client = app.test_client()
for path in ("/items", "/health"):
    print(client.get(path, headers={"X-Request-ID": "r1"}).headers["X-Request-ID"])
"""
FASTAPI = """
import asyncio, httpx
from fastapi import FastAPI
from work import work
app = FastAPI()
async def serve(): return work()
app.get("/items")(serve)
app.get("/health")(serve)
async def ask():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as client:
        for path in ("/items", "/health"):
            print((await client.get(path, headers={"X-Request-ID": "r1"})).headers["X-Request-ID"])
asyncio.run(ask())
"""
DJANGO = """
import os
import work
os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"  # as manage.py does it, when everything is imported
import django
django.setup()
from django.test import Client
for path in ("/items", "/health"):
    print(Client().get(path, HTTP_X_REQUEST_ID="r1")["X-Request-ID"])
"""
SETTINGS = """
from django.http import HttpResponse
from django.urls import path
from work import work
SECRET_KEY, ALLOWED_HOSTS, ROOT_URLCONF, USE_TZ = "x", ["testserver"], "site_settings", True
urlpatterns = [path(name, lambda request: HttpResponse(work())) for name in ("items", "health")]
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "program",
    [
        pytest.param(FLASK, id="flask", marks=needs("flask", "opentelemetry.instrumentation.flask")),
        pytest.param(FASTAPI, id="fastapi", marks=needs("fastapi", "httpx", "opentelemetry.instrumentation.fastapi")),
        pytest.param(DJANGO, id="django", marks=needs("django", "opentelemetry.instrumentation.django")),
    ],
)
def test_application_needs_no_change(program: str) -> None:
    """Its requests have their ids in the store and in the answers; those that are left out leave their event alone."""
    Path("work.py").write_text(WORK, encoding="utf-8")
    Path("site_settings.py").write_text(SETTINGS, encoding="utf-8")
    ended = launch_script(program, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="", PYTHONWARNINGS="default")
    assert (ended.status, ended.stdout, ended.stderr) == (0, "r1\nr1\n", "")
    server, below = stored_spans()
    assert (server.kind, server.attributes["url.path"]) == ("server", "/items")
    assert (below.parent_span_id, below.function) == (server.span_id, "work")
    assert [span.attributes["otel_tracker.request_id"] for span in (server, below)] == ["r1", "r1"]
    kept, left_out = stored_events()
    assert (kept.trace_id, left_out.trace_id) == (server.trace_id, "")
    assert left_out.properties["otel_tracker.request_id"] == "r1"
