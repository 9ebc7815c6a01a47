"""Whatever a program puts into its events, the server stores each of them whole."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource

from otel_tracker import attributes as keys
from otel_tracker.recording import span_record
from otel_tracker_exporters.umami.mapping import span_event_of
from otel_tracker_exporters.umami.options import options_of
from otel_tracker_exporters.umami.state import Server
from otel_tracker_exporters.umami.umami_dialect import UmamiDialect

from .contract import Database, FailedError, RefusedError, check_schema, store
from .helpers import check_outcome, event, log_exporter, span
from .server import WEBSITE, Request, UmamiServer, serving

pytest.importorskip("httpx", reason="the umami extra is not installed")

TEXTS = st.one_of(
    st.text(st.characters(), max_size=60),  # surrogates, controls and NUL included
    st.text(st.characters(), min_size=1, max_size=40).map(lambda text: (text * 900)[:900]),
    st.sampled_from(
        (
            *(
                "",
                " ",
                "\0",
                "a\0b",
                "\ud800",
                "x\udfff\ud83d",
                "\U0001f600" * 501,
                "e" * 501,
                "%00",
                "%zz",
                "a%20b%41",
            ),
            *("2024-13-45T99:99:99", "0000-01-01T00:00:00", "2024-02-30T10:00:00", "2024-01-01T10:00:00.123456+00:00"),
            *("0001-01-01T00:00:00+14:00", "2024-06-01T24:00:00.000Z", "9999-12-31T23:59:59-12:00", "NaN", "null"),
            *("jane@example.com", "see https://a.b/c?token=x#y", "/search?q=jane%40example.com"),
        )
    ),
)
NUMBERS = st.one_of(
    st.floats(),
    st.integers(),
    st.sampled_from(
        (math.nan, math.inf, -math.inf, 1e20, -1e15, 1e15, 999_999_999_999_999.9, 2**63 - 1, 1.79e18, 1e-300)
    ),
)
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans())
PLACES = st.sampled_from(
    (
        *(
            "http://[",
            "/\\[",
            "//evil/x",
            "/a%00b",
            "",
            "/",
            "\\\\x",
            "/ü/\U0001f600" * 200,
            "/a?b=c",
            "otel:span/x",
            "/%ff%",
        ),
        *("/users/jane@example.com/", "/../../x", "/" + "%41" * 400, "/\ud800", "/a b\tc\nd"),
    )
)
HOSTS = st.sampled_from(
    (
        *("::1", "a b", "h:99999", "%zz", "xn--a", "orders.1", "1.2.3.999", "123456789012", "0x7f", "127.0.0.1", "a_b"),
        *("shop.example.com:8443", "a..b", "-", ".", "x" * 101, "über.example", "1.2.3.4", "01.2.3.4", "a.0xzz", "\0"),
    )
)
REVENUES = st.fixed_dictionaries(
    {"revenue": st.one_of(SCALARS, st.sampled_from(("19.99", "9" * 30, "-1", "1e30"))), "currency": SCALARS}
)
NAMED = st.fixed_dictionaries(
    {},
    optional={
        keys.URL_PATH: st.one_of(PLACES, TEXTS),
        keys.SERVER_ADDRESS: st.one_of(HOSTS, TEXTS),
        keys.USER_ID: SCALARS,
        keys.SESSION_ID: TEXTS,
        keys.HTTP_ROUTE: TEXTS,
        "http.request.header.referer": st.one_of(PLACES, TEXTS).map(lambda text: [text]),
        "http.request.header.accept-language": TEXTS.map(lambda text: [text]),
    },
)
FREE = st.dictionaries(
    TEXTS,
    st.recursive(
        SCALARS,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=3)),
        max_leaves=8,
    ),
    max_size=5,
)
ATTRIBUTES = st.builds(
    lambda *parts: {k: v for part in parts for k, v in part.items()}, FREE, NAMED, st.just({}) | REVENUES
)
TIMES_NS = st.one_of(st.none(), st.integers(-(2**70), 2**70), st.sampled_from((0, 1, -1, 2**63 - 1, 2**64 - 1)))
HOSTILE = st.builds(
    lambda name, attributes, time_ns, service: event(
        name or "x", attributes, time_ns=time_ns, resource=Resource({"service.name": service})
    ),
    st.one_of(TEXTS, st.just("identify")),
    ATTRIBUTES,
    TIMES_NS,
    st.one_of(HOSTS, TEXTS),
)
FUZZ = settings(max_examples=40, suppress_health_check=list(HealthCheck))


def check_stored(server: UmamiServer, requests: list[Request]) -> None:
    """Nothing was refused, nothing stored by halves, and no time lies outside what the reports show."""
    for document in (document for request in requests for document in request.documents):
        check_schema(document)
        assert 0 < document["payload"]["timestamp"] < 5_000_000_000
    assert server.database.half_stored == []


@pytest.mark.parametrize("number", [100, pytest.param(1_000, marks=pytest.mark.slow)])
def test_hostile_events_are_stored_whole(number: int) -> None:
    """Each alone, and all of them once more in batches: none is rejected, none stored without its properties."""
    seen: list[Any] = []
    with serving() as server, log_exporter(server) as exporter:

        @settings(FUZZ, max_examples=number)
        @given(HOSTILE)
        def check(one: Any) -> None:
            seen.append(one)
            outcome = exporter.deliver([one])
            assert outcome.exported == 1, outcome
            check_stored(server, server.requests[-1:])

        check()
        assert len(seen) >= 0.9 * number  # hypothesis tries no example twice
        server.requests.clear()
        outcome = exporter.deliver(seen)
        check_outcome(outcome, len(seen))
        assert outcome.exported == len(seen), outcome
        check_stored(server, server.requests)


@FUZZ
@given(TEXTS, ATTRIBUTES)
def test_hostile_spans_are_stored_whole_as_page_views_and_as_events(name: str, attributes: dict[str, Any]) -> None:
    """A page view with a revenue fails at the server, so it has none."""
    options = options_of({"endpoint": "http://localhost", "website_id": WEBSITE, "page_views": True, "spans": "*"})
    dialect = UmamiDialect(options, Server())
    database = Database()
    for given_attributes in (attributes, {**attributes, keys.HTTP_REQUEST_METHOD: "GET"}):
        found = span_event_of(span_record(span(name, given_attributes)), options, given_attributes)
        document = json.loads(dialect.encode(found))
        check_schema(document)
        store(database, document)
    assert [row["type"] for row in database.events] == ["custom", "page view"]
    assert database.half_stored == []


HALF = (
    {"data": {"a": "x" * 501}},
    {"data": {"a": 1e15}},
    {"data": {"a": "a\0b"}},
    {"data": {"a": "2024-13-45T99:99:99"}},
)
LOST = ({"hostname": "orders.1"}, {"hostname": "::1"}, {"id": "x" * 51}, {"url": "/%00"}, {"title": "\0"})
REFUSED = ({"name": "x" * 51}, {"url": "http://["}, {"tag": None}, {"timestamp": 1.5}, {"data": []}, {"id": 7})


@pytest.mark.parametrize("bad", REFUSED, ids=str)
def test_server_of_these_tests_refuses_what_a_real_one_does(bad: dict[str, Any]) -> None:
    """The fuzz tests prove something: without our rules nothing of this would be stored."""
    with pytest.raises(RefusedError):
        check_schema({"type": "event", "payload": {"website": WEBSITE, **bad}})


@pytest.mark.parametrize(("bad", "rows"), [*((bad, 1) for bad in HALF), *((bad, 0) for bad in LOST)], ids=str)
def test_server_of_these_tests_fails_by_halves_as_a_real_one_does(bad: dict[str, Any], rows: int) -> None:
    """500, with the event stored or lost, and its properties lost."""
    database = Database()
    with pytest.raises(FailedError):
        store(database, {"type": "event", "payload": {"website": WEBSITE, "name": "x", **bad}})
    assert (len(database.half_stored), len(database.data), len(database.sessions) <= 1) == (rows, 0, True)


@pytest.mark.parametrize("name", ["order", ""])
def test_server_of_these_tests_loses_a_bad_revenue_as_a_real_one_does(name: str) -> None:
    """That of a page view, and one that is no number, after everything else was stored."""
    database = Database()
    payload = {"website": WEBSITE, "name": name, "data": {"revenue": True if name else 5, "currency": "EUR"}}
    with pytest.raises(FailedError):
        store(database, {"type": "event", "payload": payload})
    assert (len(database.half_stored), len(database.data), database.revenue) == (1, 2, [])
