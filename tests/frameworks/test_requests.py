"""What is known of a request, in Flask, FastAPI and Django alike: each test serves and asks a real application."""

from __future__ import annotations

import gc
import json
from hashlib import sha256
from typing import Any

import pytest

from otel_tracker import lifecycle

from .conftest import Stored
from .sites import SITES

pytestmark = pytest.mark.parametrize("site", SITES)


def test_request_id_that_comes_in_is_on_every_span_and_event_and_goes_back(stored: Stored, site: Any) -> None:
    """One id through the whole request, and to the client."""
    with site() as ask:
        answer = ask("/items/3", {"X-Request-ID": "shop-7:a/b=+_.c"})
    assert answer.headers["x-request-id"] == "shop-7:a/b=+_.c"
    assert {span.attributes["otel_tracker.request_id"] for span in stored.spans} == {"shop-7:a/b=+_.c"}
    assert len(stored.spans) == 2
    assert [event.properties["otel_tracker.request_id"] for event in stored.events] == ["shop-7:a/b=+_.c"]


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 129, "a<b", f"eyJhbGciOiJIUzI1NiJ9.{'e' * 20}.{'s' * 20}"])
def test_without_a_well_formed_id_it_is_the_trace_id(stored: Stored, site: Any, given: str | None) -> None:
    """What could break a header, fill a log or be a secret is not repeated."""
    with site() as ask:
        answer = ask("/items/3", {} if given is None else {"X-Request-ID": given})
    assert answer.headers["x-request-id"] == stored.server.trace_id
    assert stored.function("work").attributes["otel_tracker.request_id"] == stored.server.trace_id


def test_header_of_the_id_has_the_name_that_is_set(stored: Stored, site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another name for both directions."""
    monkeypatch.setenv("OTEL_TRACKER_HTTP_REQUEST_ID_HEADER", "X-Correlation-ID")
    lifecycle.forget_cached_settings()
    with site() as ask:
        answer = ask("/items/3", {"X-Correlation-ID": "c1", "X-Request-ID": "r1"})
    assert (answer.headers["x-correlation-id"], answer.headers.get("x-request-id")) == ("c1", None)


def test_id_that_the_application_gives_itself_is_left_alone(stored: Stored, site: Any) -> None:
    """One header, the application's."""
    with site() as ask:
        assert ask("/own-id", {"X-Request-ID": "r1"}).headers["x-request-id"] == "mine"


def test_request_is_described_by_the_stable_conventions(stored: Stored, site: Any) -> None:
    """The same keys from all three, with secrets of the query redacted and the host without its port."""
    with site() as ask:
        ask("/items/3?token=abc&page=2", {"User-Agent": "browser/1", "Host": "shop.example:8000"})
    server = stored.server
    expected = {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.path": "/items/3",
        "url.query": "token=[redacted]&page=2",
        "url.scheme": "http",
        "server.address": "shop.example",
        "client.address": "127.0.0.1",
        "user_agent.original": "browser/1",
    }
    assert {key: server.attributes.get(key) for key in expected} == expected
    assert "items/" in str(server.attributes["http.route"])
    assert server.name == f"GET {server.attributes['http.route']}"
    assert stored.exported_spans.get_finished_spans()[-1].attributes["url.query"] == "token=[redacted]&page=2"


def test_client_behind_a_proxy_is_believed_only_where_that_was_asked_for(
    stored: Stored, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can send these headers."""
    headers = {"X-Forwarded-For": "203.0.113.9, 10.0.0.1"}
    with site() as ask:
        ask("/items/1", headers)
        monkeypatch.setenv("OTEL_TRACKER_HTTP_TRUST_FORWARDED", "true")
        lifecycle.forget_cached_settings()
        ask("/items/2", headers)
        ask("/items/3", {**headers, "Forwarded": 'for="[2001:db8::7]:99";proto=https, for=10.0.0.1'})
        ask("/items/4", {"X-Forwarded-For": "unknown"})
    found = [server.attributes["client.address"] for server in stored.servers]
    assert found == ["127.0.0.1", "203.0.113.9", "2001:db8::7", "127.0.0.1"]


def test_session_cookie_is_known_by_its_hash_alone(stored: Stored, site: Any) -> None:
    """Who has the cookie has the session: it is in no record."""
    name = {"django_site": "sessionid"}.get(site.__name__, "session")
    with site() as ask:
        ask("/items/3", {"Cookie": f"other=1; {name}=very-secret; last=2"})
    expected = sha256(b"very-secret").hexdigest()[:32]
    assert {span.attributes["session.id"] for span in stored.spans} == {expected}
    assert stored.events[0].properties["session.id"] == expected
    assert "very-secret" not in json.dumps([record.to_dict() for record in (*stored.spans, *stored.events)])


def test_handler_that_raises_has_its_type_and_one_traceback(stored: Stored, site: Any) -> None:
    """On the request's span, because no other has seen it."""
    with site() as ask:
        assert ask("/raises").status == 500
    server = stored.server
    assert (server.status, server.attributes["error.type"]) == ("failed", "LookupError")
    assert (server.error["type"], server.error["message"]) == ("LookupError", "here")
    assert [event["name"] for event in server.events] == ["exception"]
    assert server.attributes["http.response.status_code"] == 500


def test_traceback_stands_on_the_deepest_span_alone(stored: Stored, site: Any) -> None:
    """The request's own span has type and message of what a traced function below it has recorded."""
    with site() as ask:
        assert ask("/raises-below").status == 500
    assert [event["name"] for event in stored.function("fail").events] == ["exception"]
    assert stored.server.events == ()
    assert stored.server.attributes["error.type"] == "LookupError"
    assert stored.server.error["message"] == "below"


def test_exception_that_the_framework_answers_is_no_error(stored: Stored, site: Any) -> None:
    """A 404 is the client's (semantic conventions: status of HTTP server spans)."""
    with site() as ask:
        assert ask("/missing").status == 404
    assert (stored.server.status, stored.server.error, stored.server.events) == ("completed", {}, ())
    assert "error.type" not in stored.server.attributes


@pytest.mark.parametrize("path", ["/health", "/static/app.js?v=3"])
def test_request_that_is_left_out_leaves_no_span_and_its_events_without_ids(
    stored: Stored, site: Any, path: str
) -> None:
    """Nothing below it either; the answer has an id all the same."""
    with site() as ask:
        answer = ask(path)
    assert answer.status == 200
    assert stored.spans == []
    (event,) = stored.events
    assert (event.trace_id, event.span_id) == ("", "")
    assert event.properties["otel_tracker.request_id"] == answer.headers["x-request-id"]


def test_what_is_left_out_can_be_set(stored: Stored, site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Globs in place of the default ones; `none` keeps every request."""
    for value, kept in (("/items/*,/*/app.js", ["/health"]), ("none", ["/health", "/items/1", "/static/app.js"])):
        monkeypatch.setenv("OTEL_TRACKER_HTTP_EXCLUDED_URLS", value)
        lifecycle.forget_cached_settings()
        stored.exported_spans.clear()
        with site() as ask:
            for path in ("/health", "/items/1", "/static/app.js"):
                ask(path)
        assert [server.attributes["url.path"] for server in stored.servers] == kept


def test_what_upstreams_variables_leave_out_leaves_nothing_below_it(
    stored: Stored, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are regular expressions for the whole URL."""
    framework = site.__name__.removesuffix("_site").upper()
    monkeypatch.setenv(f"OTEL_PYTHON_{framework}_EXCLUDED_URLS", "localhost.*/items/[0-3]$")
    with site() as ask:
        ask("/items/3", {"Host": "localhost"})
        ask("/items/4", {"Host": "localhost"})
    assert [span.args["number"] for span in stored.spans if span.function == "work"] == [4]
    assert len(stored.servers) == 1


def test_streamed_body_stays_in_the_trace_of_its_request(stored: Stored, site: Any) -> None:
    """What runs while it is sent is below the request's span, with the request's id."""
    with site() as ask:
        assert ask("/stream", {"X-Request-ID": "r1"}).body == "ab"
    work = stored.function("work")
    assert (work.trace_id, work.parent_span_id) == (stored.server.trace_id, stored.server.span_id)
    assert work.attributes["otel_tracker.request_id"] == "r1"
    assert stored.events[0].properties["otel_tracker.request_id"] == "r1"


@pytest.mark.parametrize("path", ["/who", "/failing-who"])
def test_context_of_a_request_is_gone_with_it(stored: Stored, site: Any, path: str) -> None:
    """Also when its handler raises: the next one in the same thread knows nothing but its own id."""
    with site() as ask:
        ask(f"{path}/1")
        answer = ask("/who/2")
    assert json.loads(answer.body) == {"request_id": answer.headers["x-request-id"]}
    assert [server.attributes["user.id"] for server in stored.servers] == ["u1", "u2"]


def test_hooks_of_the_program_run_as_well(stored: Stored, site: Any) -> None:
    """After ours, so that they see the request's id."""
    seen = []
    with site(request_hook=lambda span, carrier: seen.append(span.get_span_context().span_id)) as ask:
        ask("/items/3")
    assert [f"{span_id:016x}" for span_id in seen] == [stored.server.span_id]


def test_spans_of_the_sdks_own_say_the_same(stored: Stored, site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids, endings, errors and what is left out do not depend on the lean engine."""
    monkeypatch.setenv("OTEL_TRACKER_SPAN_ENGINE", "sdk")
    lifecycle.forget_cached_settings()
    with site() as ask:
        ask("/items/3?token=abc", {"X-Request-ID": "r1", "Host": "shop.example:8000"})
        ask("/health")
        ask("/raises-below", {"X-Request-ID": "r2"})
    assert all(type(span).__name__ == "ReadableSpan" for span in stored.exported_spans.get_finished_spans())
    served, failed = stored.servers
    assert (served.attributes["otel_tracker.request_id"], served.attributes["server.address"]) == ("r1", "shop.example")
    assert served.attributes["url.query"] == "token=[redacted]"
    assert (failed.attributes["error.type"], failed.events, failed.error["message"]) == ("LookupError", (), "below")
    assert len(stored.spans) == 4


def test_request_that_is_not_sampled_is_known_all_the_same(stored: Stored, site: Any) -> None:
    """By its caller's decision: no span, but its events have its id; nothing of it is kept in memory."""
    from otel_tracker.frameworks.serving import Served

    caller = {"traceparent": f"00-{7:032x}-{8:016x}-00"}
    with site() as ask:
        answer = ask("/who/3", {**caller, "X-Request-ID": "r1"})
        requests = [one for one in gc.get_objects() if type(one) is Served]
    assert (answer.headers["x-request-id"], stored.spans) == ("r1", [])
    (event,) = stored.events
    assert (event.trace_id, event.properties["user.id"], event.properties["otel_tracker.request_id"]) == (
        "",
        "u3",
        "r1",
    )
    assert [one for one in requests if one.find is not None] == []


def test_nothing_is_traced_and_nothing_breaks_without_a_provider(site: Any) -> None:
    """The application answers as it would alone."""
    with site() as ask:
        answer = ask("/items/3", {"X-Request-ID": "r1"})
    assert (answer.status, answer.body) == (200, "ok")
