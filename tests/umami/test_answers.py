"""What each answer of a server means for the events: stored, to be sent again, unknown, or dropped for a reason."""

from __future__ import annotations

import json
import logging
import time
from email.utils import formatdate
from typing import Any

import pytest

from otel_tracker.delivery.outcomes import Outcome

from .helpers import check_outcome, event, events, log_exporter
from .server import (
    V2_0,
    V2_12,
    V2_17,
    V2_17_BROKEN,
    V3_1,
    WEBSITE,
    Reply,
    Request,
    UmamiServer,
    Version,
    serving,
)

pytest.importorskip("httpx", reason="the umami extra is not installed")

OTHER_WEBSITE = "11111111-2222-4333-8444-555555555555"
BOT = "python-requests/2.32"


def check_sum(server: UmamiServer, outcome: Outcome[Any], number: int) -> None:
    """Sent = stored + reported drops + unknown + what is to be sent again; what counts as exported is stored, once."""
    check_outcome(outcome, number)
    assert len(server.database.events) == outcome.exported
    assert len(set(server.names)) == len(server.names)


@pytest.mark.parametrize("version", [V3_1, V2_17, V2_17_BROKEN, V2_12, V2_0], ids=str)
@pytest.mark.parametrize("number", [1, 2, 120])
def test_every_version_stores_each_event_once(version: Version, number: int) -> None:
    """With batches, with broken ones, without any; whether it answers JSON or a bare token."""
    with serving(version) as server, log_exporter(server) as exporter:
        outcome = exporter.deliver(events(number))
        check_sum(server, outcome, number)
        assert outcome.exported == number
        assert server.names == [f"event {index}" for index in range(number)]
        assert max(len(request.documents) for request in server.requests) <= 50


def test_batches_of_fifty_are_used_and_only_the_first_event_goes_alone() -> None:
    """The answer to a single event tells a drop by the bot filter; afterwards batches do, from 3.0.2 on."""
    with serving() as server, log_exporter(server) as exporter:
        exporter.deliver(events(120))
        assert server.paths == ["/api/send", "/api/batch", "/api/batch", "/api/batch"]
        assert [len(request.documents) for request in server.requests] == [1, 50, 50, 19]
        server.requests.clear()
        exporter.deliver(events(50))
        assert server.paths == ["/api/batch"]


@pytest.mark.parametrize(("version", "status"), [(V2_12, 404), (V2_17_BROKEN, 500), (V3_1, 405)])
def test_server_without_batches_is_asked_for_one_only_once(version: Version, status: int) -> None:
    """What was found out about it is remembered, for spans as for events, until the process ends."""
    with serving(version) as server, log_exporter(server) as first, log_exporter(server) as second:
        server.always = lambda request: Reply(status, "no") if request.path == "/api/batch" else None
        for exporter in (first, second):
            outcome = exporter.deliver(events(3))
            assert (outcome.exported, outcome.dropped) == (3, {})
        assert server.paths.count("/api/batch") == 1
        assert len(server.names) == 6


@pytest.mark.parametrize("version", [V3_1, V2_17, V2_12, V2_0], ids=str)
@pytest.mark.parametrize("number", [1, 60])
def test_drops_by_the_bot_filter_are_noticed_counted_and_explained_once(
    version: Version, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The server says 200 in every case; the remedy stands in the log, once."""
    with serving(version) as server, log_exporter(server, user_agent=BOT) as exporter:
        for _ in range(2):
            outcome = exporter.deliver(events(number))
            assert outcome.dropped == {"umami_bot": number}
            check_sum(server, outcome, number)
        said = [record.message for record in caplog.records]
        assert len(said) == 1
        assert "takes us for a bot" in said[0]
        assert "OTEL_TRACKER_UMAMI_USER_AGENT" in said[0]


def test_batch_without_a_cache_is_a_drop_where_batches_have_had_one() -> None:
    """From 3.0.2 on: 200, errors 0, and no token; the bot filter has become stricter meanwhile."""
    with serving() as server, log_exporter(server) as exporter:
        exporter.deliver(events(3))
        told = {"size": 2, "processed": 2, "errors": 0, "details": []}
        server.replies.append(Reply(200, json.dumps(told)))
        outcome = exporter.deliver(events(2, "later"))
        assert outcome.dropped == {"umami_bot": 2}


def test_visitors_user_agent_goes_alone_and_its_drop_is_counted() -> None:
    """A partial drop inside a batch could not be seen in the answer."""
    sent = [
        event("a", {"user_agent.original": "Googlebot/2.1"}),
        event("b", {"user_agent.original": "Mozilla/5.0 (X11)"}),
    ]
    with serving() as server, log_exporter(server, forward_client=True) as exporter:
        outcome = exporter.deliver(sent + events(2))
        assert (outcome.exported, outcome.dropped) == (3, {"umami_bot": 1})
        assert server.names == ["b", "event 0", "event 1"]


@pytest.mark.parametrize("number", [1, 120])
def test_wrong_website_is_said_once_and_left_alone_for_a_while(
    number: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would refuse everything: five minutes later it is asked again."""
    with serving() as server, log_exporter(server, website_id=OTHER_WEBSITE) as exporter:
        for _ in range(3):
            outcome = exporter.deliver(events(number))
            assert outcome.dropped == {"umami_website": number}
            check_outcome(outcome, number)
        assert len(server.requests) == 1
        assert len(caplog.records) == 1
        assert OTHER_WEBSITE in caplog.records[0].message
        server.websites.add(OTHER_WEBSITE)
        monkeypatch.setattr(exporter._deliverer, "_ask_again_s", 0.0)
        assert exporter.deliver(events(2)).exported == 2


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(403, json.dumps({"error": {"message": "Forbidden", "code": "forbidden"}})), "umami_forbidden"),
        (Reply(401, "login"), "umami_forbidden"),
        (Reply(404, "not here"), "umami_endpoint"),
        (Reply(200, "<!DOCTYPE html><title>Welcome to nginx!</title>"), "umami_endpoint"),
        (Reply(302, "", (("Location", "https://login.example.com/"),)), "umami_endpoint"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value.status),
)
def test_answer_that_would_be_the_same_for_every_event_ends_the_asking(
    reply: Reply, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """IGNORE_IP, a login in front, or no Umami at all: one request, one sentence, the rest is dropped and counted."""
    with serving() as server, log_exporter(server) as exporter:
        server.always = lambda _: reply
        outcome = exporter.deliver(events(70))
        assert outcome.dropped == {reason: 70}
        assert len(server.requests) == len(caplog.records) == 1


@pytest.mark.parametrize(
    ("status", "headers", "after_s"),
    [
        (429, (("Retry-After", "7"),), 7.0),
        (503, (("Retry-After", "900000"),), 3600.0),
        (503, (("Retry-After", "Fri, 01 Jan 2021 00:00:00 GMT"),), 0.0),
        (502, (), 0.0),
        (521, (), 0.0),
    ],
)
def test_server_that_is_busy_gets_everything_again_later(
    status: int, headers: tuple[tuple[str, str], ...], after_s: float
) -> None:
    """Nothing more is tried at once, the order is kept, and the time that it asks for is handed on."""
    sent = events(120)
    with serving() as server, log_exporter(server) as exporter:
        server.replies += [lambda _: None, Reply(status, "busy", headers)]
        outcome = exporter.deliver(sent)
        assert (outcome.exported, outcome.again, outcome.again_after_s) == (1, sent[1:], after_s)
        assert len(server.requests) == 2
        check_sum(server, outcome, 120)
        assert exporter.deliver(outcome.again).exported == 119
        check_sum(server, Outcome(exported=120), 120)


def test_events_that_met_a_dead_database_are_sent_again_and_no_others() -> None:
    """Alone it is a 500 with a code, in a batch each event has its own; good ones stay stored."""

    def die_after_ten(request: Request) -> Reply:
        documents = request.documents
        server.answer(Request(request.path, request.headers, json.dumps(documents[:10]).encode(), 0))
        server.is_database_down = True
        told = json.loads(server.answer(request).text)
        told["details"] = told["details"][10:]
        return Reply(200, json.dumps({**told, "errors": len(told["details"]), "cache": "token"}))

    sent = events(100)
    with serving() as server, log_exporter(server) as exporter:
        server.replies += [lambda _: None, die_after_ten]
        outcome = exporter.deliver(sent)
        check_sum(server, outcome, 100)
        assert outcome.again == sent[11:]
        assert exporter.deliver(sent[11:13]).again == sent[11:13]
        server.is_database_down = False
        assert exporter.deliver(outcome.again).exported == 89
        assert server.names == [f"event {index}" for index in range(100)]


@pytest.mark.parametrize("code", ["P2000", "P2020", "P2010", None])
def test_other_server_errors_are_never_sent_again(code: str | None, caplog: pytest.LogCaptureFixture) -> None:
    """The event may be stored already, without its properties; the log quotes 200 characters at most."""
    stack = "at Object.<anonymous> (/app/server.js)\n" * 200
    inner = {"stack": stack, **({"code": code} if code else {})}
    reply = Reply(500, json.dumps({"error": {"message": "no " * 300, "code": "server-error", "errorObject": inner}}))
    with serving() as server, log_exporter(server) as exporter:
        server.replies.append(reply)
        outcome = exporter.deliver(events(1))
        assert (outcome.dropped, outcome.again) == ({"umami_server_error": 1}, [])
        (record,) = caplog.records
        assert "Object.<anonymous>" not in record.message
        assert len(record.message) < 500


def test_batch_that_is_refused_as_a_whole_is_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """One event that is no event at all for the server does not take the others along."""
    with serving() as server, log_exporter(server) as exporter:
        exporter.deliver(events(3, "first"))
        encode = exporter._deliverer._dialect.encode
        monkeypatch.setattr(
            exporter._deliverer._dialect,
            "encode",
            lambda found: b'"nothing"' if found.name == "event 7" else encode(found),
        )
        outcome = exporter.deliver(events(20))
        assert (outcome.exported, outcome.dropped) == (19, {"umami_rejected": 1})
        assert [name for name in server.names if name and name.startswith("event")] == [
            f"event {index}" for index in range(20) if index != 7
        ]


def test_errors_inside_a_batch_are_told_apart() -> None:
    """Each by its index: stored, refused, failed, to be sent again."""
    responses = {
        1: {"error": {"message": "Bad request", "code": "bad-request"}},
        3: {"error": {"message": "too long", "code": "server-error", "errorObject": {"code": "P2000"}}},
        4: {"error": {"message": "pool", "code": "server-error", "errorObject": {"code": "P2024"}}},
        5: {"error": {"code": "P1017", "message": "closed"}},
    }
    details = [{"index": index, "response": response} for index, response in responses.items()]
    sent = events(7)
    with serving() as server, log_exporter(server) as exporter:
        told = {"size": 6, "processed": 2, "errors": 4, "details": details, "cache": "token"}
        server.replies += [lambda _: None, Reply(200, json.dumps(told))]
        outcome = exporter.deliver(sent)
        check_outcome(outcome, 7)
        assert outcome.exported == 3
        assert outcome.dropped == {"umami_rejected": 1, "umami_server_error": 1}
        assert outcome.again == sent[5:7]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"size": 2}',
        '{"size": 9, "errors": 0, "cache": "x"}',
        '{"size": 2, "errors": 2, "details": [{"index": 0, "response": {}}]}',
        '{"size": 2, "errors": 1, "details": [{"index": 77}], "cache": "x"}',
        "RAW",
    ],
)
def test_answer_to_a_batch_that_does_not_add_up_makes_its_events_unknown(text: str) -> None:
    """Nothing is counted as stored that may not be, and nothing is sent twice."""
    with serving() as server, log_exporter(server) as exporter:
        server.replies += [lambda _: None, Reply(200, text)]
        outcome = exporter.deliver(events(3))
        check_outcome(outcome, 3)
        assert outcome.again == []
        assert outcome.unknown >= 1


def test_request_that_is_too_large_is_halved_until_it_fits() -> None:
    """A single event that is too large is dropped and counted."""

    def limit(request: Request) -> Reply | None:
        return Reply(413, "too large") if len(request.body) > 3_000 else None

    sent = [*events(30), event("large", {f"key {index}": "x" * 400 for index in range(20)}), *events(10, "more")]
    with serving() as server, log_exporter(server) as exporter:
        server.always = limit
        outcome = exporter.deliver(sent)
        check_sum(server, outcome, 41)
        assert (outcome.exported, outcome.dropped) == (40, {"umami_too_large": 1})


def test_large_events_make_smaller_batches() -> None:
    """A request stays below the megabyte that proxies take."""
    sent = [event(f"large {index}", {f"key {key}": "x" * 490 for key in range(100)}) for index in range(40)]
    with serving() as server, log_exporter(server) as exporter:
        assert exporter.deliver(sent).exported == 40
        assert max(len(request.body) for request in server.requests) < 1_000_000


def test_redirect_to_the_path_without_a_slash_is_followed() -> None:
    """308 keeps method and body; the answer counts as if it had come at once."""
    with serving() as server, log_exporter(server) as exporter:
        server.replies.append(Reply(308, "", (("Location", "/api/send"),)))
        assert exporter.deliver(events(1)).exported == 1
        assert server.paths == ["/api/send", "/api/send"]


def test_redirect_to_another_host_is_not_followed() -> None:
    """Events and the API key go to the server that was named, and to no other."""
    with serving() as server, serving() as other, log_exporter(server, api_key="key") as exporter:
        server.always = lambda _: Reply(307, "", (("Location", other.url.replace("127.0.0.1", "localhost")),))
        assert exporter.deliver(events(2)).dropped == {"umami_endpoint": 2}
        assert other.requests == []


@pytest.mark.parametrize("path", ["", "/", "/api", "/api/", "/api/send", "/api/batch/"])
def test_endpoint_may_be_any_url_of_the_server(path: str) -> None:
    """Whatever somebody has copied."""
    with serving() as server, log_exporter(server, endpoint=server.url + path) as exporter:
        assert exporter.deliver(events(1)).exported == 1
        assert server.paths == ["/api/send"]


def test_time_is_never_ahead_of_the_servers() -> None:
    """Our clock is an hour ahead, which the first answer tells; an answer that is decades away is not believed."""
    there_s = time.time() - 3_600
    date = ("Date", formatdate(there_s, usegmt=True))
    with serving() as server, log_exporter(server) as exporter:
        server.always = lambda request: Reply(200, server.answer(request).text, (date,))
        exporter.deliver(events(3))
        assert [payload["timestamp"] <= there_s + 60 for payload in server.payloads] == [False, True, True]
        server.always = lambda request: Reply(200, server.answer(request).text, (("Date", formatdate(0)),))
        exporter.deliver(events(2))
        exporter.deliver(events(1))
        assert server.payloads[-1]["timestamp"] > 1_700_000_000


def test_requests_bear_no_cache_token_and_the_api_key_only_where_one_is_set() -> None:
    """`x-umami-cache` would store events whose session nobody creates."""
    with serving() as server, log_exporter(server) as plain, log_exporter(server, api_key="k-1") as keyed:
        plain.deliver(events(4))
        assert all("x-umami-api-key" not in request.headers for request in server.requests)
        keyed.deliver(events(1))
        assert server.requests[-1].headers["x-umami-api-key"] == "k-1"
        assert all("x-umami-cache" not in request.headers for request in server.requests)
        assert all(payload["website"] == WEBSITE for payload in server.payloads)


def test_what_is_no_event_is_passed_over_and_what_cannot_be_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log records of a logging library count as exported; a fault of ours costs one event, not the batch."""

    class Odd:
        log_record = property(lambda self: 1 / 0)

    sent: list[Any] = [event(None), Odd(), event("good")]
    with serving() as server, log_exporter(server) as exporter:
        outcome = exporter.deliver(sent)
        assert (outcome.exported, outcome.dropped) == (2, {"unfit": 1})
        assert server.names == ["good"]


def test_line_that_httpx_logs_for_every_request_stays_out_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A program that logs at INFO would else see one for every batch, and a log exporter would feed itself."""
    caplog.set_level(logging.DEBUG)
    with serving() as server, log_exporter(server) as exporter:
        exporter.deliver(events(3))
        assert [record.name for record in caplog.records if record.name.startswith("http")] == []
