"""The id of a request: what clients send in its place, and which answers bear it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from otel_tracker import lifecycle

from ..conftest import Stored
from .apps import SITES

WELL_FORMED = re.compile(r"[A-Za-z0-9._:/=+-]{1,128}\Z")
HEADER = "X-Request-ID"

REFUSED = [
    b"x" * 129,
    b"",
    b"a\r\nSet-Cookie: stolen=1",
    b"abc\n",
    b"abc\r",
    b"abc\x00",
    b"caf\xe9",
    b"\xaa\xb5",  # letters of latin-1
    "日本".encode(),
    "１２".encode(),
    b"a,b",
    b"a, b",
    b"a b",
    b'"a"',
    b"a;b",
    b"a%0d%0a",
    b"<script>",
    b"\xff\xfe",
]
ACCEPTED = [b"x" * 128, b"0", b".", b"-", b"A-Z.a_z:0/9=+", b"550e8400-e29b-41d4-a716-446655440000"]

PAGES = ["/ok/1", "/nowhere", "/redirect", "/refused", "/raises", "/answered", "/broken-page", "/stream", "/empty"]
PAGES += ["/many", "/middleware-raises", "/no-signal"]
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("site", SITES)]


def ids_in(stored: Stored) -> set[str]:
    """Of every span and event."""
    spans = {str(span.attributes.get("otel_tracker.request_id")) for span in stored.spans}
    return spans | {str(event.properties.get("otel_tracker.request_id")) for event in stored.events}


def test_hostile_ids_are_replaced_by_the_trace_id(stored: Stored, site: Any) -> None:
    """Nothing that a client sends can break a header or a log line, be too long, or be half taken."""
    with site() as ask:
        for value in REFUSED:
            stored.exported_spans.clear()
            stored.exported_logs.clear()
            answer = ask("/ok/1", [(HEADER, value)])
            assert (answer.status, answer.body) == (200, b"ok 1"), value
            assert answer.request_id == stored.server.trace_id, value
            assert ids_in(stored) == {answer.request_id}, value
            assert len(stored.spans) == 2, value


def test_well_formed_ids_are_taken_whole(stored: Stored, site: Any) -> None:
    """To the last of 128 characters."""
    with site() as ask:
        for value in ACCEPTED:
            stored.exported_spans.clear()
            stored.exported_logs.clear()
            assert ask("/ok/1", [(HEADER, value)]).request_id == value.decode()
            assert ids_in(stored) == {value.decode()}


def test_repeated_header_gives_one_id_everywhere(stored: Stored, site: Any) -> None:
    """Whichever it is, the answer, the spans and the events agree, and it is well formed."""
    with site() as ask:
        answer = ask("/ok/1", [(HEADER, b"one"), (HEADER, b"two")])
    assert WELL_FORMED.match(answer.request_id)
    assert answer.request_id in {"one", stored.server.trace_id}
    assert ids_in(stored) == {answer.request_id}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_every_kind_of_answer_bears_the_id(stored: Stored, site: Any, method: str) -> None:
    """Found or not, redirected, refused, broken, streamed or empty."""
    with site() as ask:
        for page in PAGES:
            stored.exported_spans.clear()
            answer = ask(page, [(HEADER, b"r-1")], method=method)
            if not answer.headers:  # nobody has answered: the server itself will
                assert answer.raised is not None, page
            else:
                assert answer.all_of("x-request-id") == ["r-1"], page
            assert stored.server.attributes["otel_tracker.request_id"] == "r-1", page


def test_unhandled_methods_bear_the_id(stored: Stored, site: Any) -> None:
    """405, OPTIONS, and a method that nobody knows."""
    with site() as ask:
        for method in ("PUT", "OPTIONS", "BREW"):
            assert ask("/echo", [(HEADER, b"r-1")], method=method).request_id == "r-1", method


def test_id_of_the_application_is_the_only_one(stored: Stored, site: Any) -> None:
    """Two headers of this name would be two ids."""
    with site() as ask:
        assert ask("/own-id").all_of("x-request-id") == ["mine"]


@pytest.mark.parametrize("page", ["/pool/7", "/background/7", "/stream"])
def test_threads_tasks_and_bodies_have_the_id_of_their_request(stored: Stored, site: Any, page: str) -> None:
    """Spans and events of all that a request started, in one trace."""
    with site() as ask:
        answer = ask(page, [(HEADER, b"r-7")])
    if answer.status == 404:
        pytest.skip("this framework has no such page")
    assert len(stored.events) == 1
    assert ids_in(stored) == {"r-7"}
    assert {span.trace_id for span in stored.spans} == {stored.server.trace_id} == {stored.events[0].trace_id}


def test_hostile_names_of_the_header_are_refused_or_work(
    stored: Stored, site: Any, monkeypatch: pytest.MonkeyPatch, complaints: list[str]
) -> None:
    """A name that could not be a header's is said, leaves the default in force, and never breaks an answer."""
    for name in ("", " ", "X Request", "X:Y", "X-Id\r\nSet-Cookie: a", "Ünïcode", "x" * 300, "X_Under"):
        monkeypatch.setenv("OTEL_TRACKER_HTTP_REQUEST_ID_HEADER", name)
        lifecycle.forget_cached_settings()
        with site() as ask:
            answer = ask("/ok/1", [(HEADER, b"r-1")])
        assert (answer.status, answer.body) == (200, b"ok 1"), name
        assert not answer.all_of("set-cookie"), name
        names = {found for found, _ in answer.headers}
        assert names & {"x-request-id", name.strip().lower()}, name
        assert all(re.fullmatch(r"[!#$%&'*+.^_`|~0-9a-z-]+", found) for found in names), names
    assert all("OTEL_TRACKER_HTTP_REQUEST_ID_HEADER" in line for line in complaints)
    complaints.clear()


def test_header_names_of_any_case_are_found(stored: Stored, site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of headers have no case; whatever name is set is the one that is read and sent."""
    with site() as ask:
        for name in ("x-correlation-id", "TRACE-ID", "X-REQUEST-ID", "Authorization"):
            monkeypatch.setenv("OTEL_TRACKER_HTTP_REQUEST_ID_HEADER", name)
            lifecycle.forget_cached_settings()
            assert ask("/ok/1", [(name, b"c-1")]).all_of(name.lower()) == ["c-1"], name


def test_id_is_the_callers_trace_id_inside_a_callers_trace(stored: Stored, site: Any, complaints: list[str]) -> None:
    """A broken traceparent starts a new trace, whose id it is then."""
    parent = f"00-{7:032x}-{8:016x}-01".encode()
    with site() as ask:
        assert ask("/ok/1", [("traceparent", parent)]).request_id == f"{7:032x}"
        broken = ask("/ok/1", [("traceparent", b"00-zz-\r\n"), ("baggage", b"\xff=\xff,,=")])
    assert broken.request_id == stored.servers[-1].trace_id != f"{7:032x}"
    complaints.clear()  # upstream's, of the baggage


def test_unsampled_request_has_an_id_too(stored: Stored, site: Any) -> None:
    """Events of a request that is not sampled still find together."""
    unsampled = f"00-{7:032x}-{8:016x}-00".encode()
    with site() as ask:
        first = ask("/ok/1", [("traceparent", unsampled), (HEADER, b"r-1")])
        second = ask("/ok/1", [("traceparent", unsampled)])
    assert (first.request_id, second.request_id) == ("r-1", f"{7:032x}")
    assert stored.spans == []
    assert [event.properties["otel_tracker.request_id"] for event in stored.events] == ["r-1", f"{7:032x}"]
