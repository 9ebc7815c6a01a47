"""`otel-tracker doctor umami` says in words what the server did with one probe event."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest
from support import Ended, run

from otel_tracker_exporters.umami import probe
from otel_tracker_exporters.umami.probing import PROBE_NAME

from .server import V2_0, V2_12, V3_1, WEBSITE, Reply, UmamiServer, Version, serving

pytest.importorskip("httpx", reason="the umami extra is not installed")


def doctor(*options: str, **variables: str) -> Ended:
    return run(sys.executable, "-m", "otel_tracker", "doctor", *options, **variables)


@pytest.fixture
def point_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def point(server: UmamiServer, **variables: str) -> None:
        named = {"ENDPOINT": server.url, "WEBSITE_ID": WEBSITE, **variables}
        for name, value in named.items():
            monkeypatch.setenv(f"OTEL_TRACKER_UMAMI_{name}", value)

    return point


def test_command_sends_one_event_and_says_that_it_is_stored() -> None:
    """Exit status 0, a line for a person or a JSON object for a program."""
    with serving() as server:
        variables = {"OTEL_TRACKER_UMAMI_ENDPOINT": server.url, "OTEL_TRACKER_UMAMI_WEBSITE_ID": WEBSITE}
        ended = doctor("umami", **variables)
        assert (ended.status, ended.stderr) == (0, "")
        assert "has stored the probe event" in ended.stdout
        assert server.names == [PROBE_NAME]
        assert server.paths == ["/api/send"]
        told = json.loads(doctor("umami", "--json", **variables).stdout)
        assert (told["subject"], told["verdict"]) == ("umami", "ok")
        server.websites.clear()
        ended = doctor("umami", **variables)
        assert ended.status == 1
        assert "knows no website" in " ".join(ended.stdout.split())


def test_destination_that_cannot_be_asked_is_misuse() -> None:
    """The nearest name is offered; nothing is examined."""
    ended = doctor("umamy")
    assert (ended.status, ended.stdout) == (2, "")
    assert "Did you mean 'umami'?" in ended.stderr


@pytest.mark.parametrize(
    ("version", "verdicts"), [(V3_1, ["ok"]), (V2_12, ["ok", "note"]), (V2_0, ["ok", "note"])], ids=str
)
def test_version_is_told(version: Version, verdicts: list[str], point_at: Callable[..., None]) -> None:
    """An old one works, with less, and is worth knowing."""
    with serving(version) as server:
        point_at(server)
        found = list(probe())
        assert [verdict for verdict, _ in found] == verdicts
        assert server.names == [PROBE_NAME]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(200, '{"beep":"boop"}'), "takes us for a bot"),
        (Reply(400, '{"error":{"message":"Website not found."}}'), "knows no website"),
        (Reply(403, "no"), "does not let us in (403 no)"),
        (Reply(404, "no"), "does not answer as an analytics server does (404 no)"),
        (Reply(200, "<html>"), "does not answer as an analytics server does"),
        (Reply(500, '{"error":{"code":"server-error","errorObject":{"code":"P1001"}}}'), "cannot reach its database"),
        (Reply(500, '{"error":{"code":"server-error","message":"oh"}}'), "failed over an event (server-error: oh)"),
        (Reply(429, ""), "does not take events now (429)"),
        (Reply(None), "gave no answer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_went_wrong_is_told_in_one_sentence(reply: Reply, words: str, point_at: Callable[..., None]) -> None:
    """With what to do about it."""
    with serving() as server:
        point_at(server)
        server.replies.append(reply)
        ((verdict, sentence),) = probe()
        assert verdict == "problem"
        assert words in sentence
        assert sentence.endswith(".")
        assert server.names == []


def test_server_that_is_not_there_and_settings_that_are_missing_are_told(
    point_at: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong is a finding and no traceback."""
    with serving() as server:
        point_at(server)
    assert [verdict for verdict, _ in probe()] == ["problem"]
    monkeypatch.delenv("OTEL_TRACKER_UMAMI_ENDPOINT")
    ((_, sentence),) = probe()
    assert "needs OTEL_TRACKER_UMAMI_ENDPOINT, which is not set. Set it to the URL of an Umami server" in sentence
    point_at(server, WEBSITE_ID="shop")
    ((_, sentence),) = probe()
    assert "OTEL_TRACKER_UMAMI_WEBSITE_ID is 'shop'; expected the id of a website" in sentence
