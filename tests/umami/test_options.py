"""Options are arguments that fall back to settings; what is missing or cannot be used is one sentence."""

from __future__ import annotations

import re
import sys

import pytest
from support import run

from otel_tracker import settings, umami_settings
from otel_tracker.destinations import event_destinations, span_destinations
from otel_tracker.doctor.stored import check_settings
from otel_tracker.errors import MissingSettingError, SettingError
from otel_tracker_exporters.umami.options import default_user_agent, options_of

from .contract import is_bot
from .server import WEBSITE

ENDPOINT = "https://umami.example.com"


def test_settings_stand_in_for_missing_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argument before environment, for each option by itself."""
    monkeypatch.setenv("OTEL_TRACKER_UMAMI_ENDPOINT", ENDPOINT)
    monkeypatch.setenv("OTEL_TRACKER_UMAMI_WEBSITE_ID", WEBSITE)
    monkeypatch.setenv("OTEL_TRACKER_UMAMI_SPANS", "checkout.*,cart.*")
    monkeypatch.setenv("OTEL_TRACKER_UMAMI_TIMEOUT_S", "7")
    found = options_of({"timeout_s": 3, "page_views": None})
    assert (found.base_url, found.website_id, found.timeout_s) == (ENDPOINT, WEBSITE, 3.0)
    assert (found.span_globs, found.has_page_views) == (("checkout.*", "cart.*"), False)
    assert found.takes_span("cart.add")
    assert not found.takes_span("login")


def test_missing_options_are_named_with_the_way_out() -> None:
    """Without an endpoint, without a website, with one that is none."""
    with pytest.raises(MissingSettingError, match="needs OTEL_TRACKER_UMAMI_ENDPOINT, which is not set"):
        options_of({})
    with pytest.raises(MissingSettingError, match="needs OTEL_TRACKER_UMAMI_WEBSITE_ID, which is not set"):
        options_of({"endpoint": ENDPOINT})
    with pytest.raises(SettingError, match=r"'shop'; expected the id of a website .*Copy it from"):
        options_of({"endpoint": ENDPOINT, "website_id": "shop"})


@pytest.mark.parametrize("endpoint", ["umami.example.com", "ftp://host", "https://", "http://host:abc", "http://[::1"])
def test_endpoint_that_is_no_url_is_said_and_counts_as_none(endpoint: str, caplog: pytest.LogCaptureFixture) -> None:
    """The sentence quotes it."""
    with pytest.raises(MissingSettingError):
        options_of({"endpoint": endpoint, "website_id": WEBSITE})
    assert repr(endpoint) in caplog.text


def test_secrets_of_the_endpoint_are_not_shown() -> None:
    """Reports, journals and logs have the server's name alone."""
    found = options_of(
        {"endpoint": "https://user:hunter2@umami.example.com/stats/api/send?key=1", "website_id": WEBSITE}
    )
    assert found.base_url == "https://user:hunter2@umami.example.com/stats"
    assert found.shown_url == "https://umami.example.com/stats"


def test_password_in_the_endpoint_is_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither among the effective settings, nor by the doctor, nor in the sentence about a url that is none."""
    monkeypatch.setenv("OTEL_TRACKER_UMAMI_ENDPOINT", "https://user:hunter2@umami.example.com")
    told = [finding.sentence for finding in check_settings()]
    assert told == ["OTEL_TRACKER_UMAMI_ENDPOINT is https://***@umami.example.com."]
    assert settings.effective()["umami_endpoint"] == "https://***@umami.example.com"
    umami_settings.UMAMI_ENDPOINT.read("https://user:hunter2@host:port")
    assert "hunter2" not in caplog.text
    assert "https://***@host:port" in caplog.text


def test_key_that_no_header_can_hold_is_refused_without_being_shown(caplog: pytest.LogCaptureFixture) -> None:
    """A line break in it would be a request of its own."""
    found = options_of({"endpoint": ENDPOINT, "website_id": WEBSITE, "api_key": "hunter2\r\nx: y"})
    assert found.api_key is None
    assert "hunter2" not in caplog.text
    assert "OTEL_TRACKER_UMAMI_API_KEY" in caplog.text or "umami_api_key" in caplog.text


def test_own_user_agent_is_no_bots() -> None:
    """The form that was measured against the bot filters of all versions."""
    assert re.fullmatch(r"otel-tracker/[\w.]+ \(Python 3\.\d+; \w+\)", default_user_agent())
    assert not is_bot(default_user_agent())
    assert is_bot("otel-tracker/0.1.0")


def test_destination_without_its_options_leaves_the_others_working(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`umami` beside `jsonl`, and no server named: one sentence a signal at most, and jsonl works."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "umami,jsonl")
    found = [*span_destinations(), *event_destinations()]
    assert [one.name for one in found] == ["jsonl", "jsonl"]
    for one in found:
        one.exporter.shutdown()
    (record,) = caplog.records
    assert "OTEL_TRACKER_UMAMI_ENDPOINT" in record.message or "httpx" in record.message


def test_missing_library_is_named_with_the_command_that_installs_it() -> None:
    """The core install has the entry point, and needs the extra only to send."""
    program = f"""
import sys
sys.modules["httpx"] = None
from otel_tracker_exporters.umami import UmamiLogExporter
try:
    UmamiLogExporter(endpoint="{ENDPOINT}", website_id="{WEBSITE}")
except ImportError as error:
    print(error)
"""
    ended = run(sys.executable, "-c", program)
    assert ended.stdout == (
        'The umami destination needs httpx, which is not installed. Run: pip install "otel-tracker[umami]".\n'
    )
