"""Programs that know nothing of us, as real processes under both launchers: ids, privacy, users, and pages in Umami."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from support import Ended, launcher, run, stored_events, stored_spans
from umami.server import WEBSITE
from umami.server import serving as serving_umami

from .apps import DJANGO, FASTAPI, FLASK

HERE = Path(__file__).parent
SECRETS = [
    *("secret-in-query", "secret-in-cookie", "secret-csrf", "secret-in-authorization"),
    *("secret-in-referer", "secret-in-message"),
]
SHOPS = [pytest.param(param.id, id=param.id, marks=param.marks) for param in (FLASK, FASTAPI, DJANGO)]
LAUNCHERS = {
    "opentelemetry-instrument": launcher,
    "otel-tracker run": lambda: [shutil.which("otel-tracker", path=str(Path(sys.executable).parent)), "run"],
}
pytestmark = pytest.mark.slow


def launched(program: str, *arguments: str, by: str = "opentelemetry-instrument", **variables: str) -> Ended:
    shutil.copy(HERE / "programs" / f"{program}.py", ".")
    shutil.copy(HERE / "calls.py", ".")
    command = [*LAUNCHERS[by](), sys.executable, f"{program}.py", *arguments]
    ended = run(*command, PYTHONWARNINGS="ignore", CALLS=str(Path.cwd()), **variables)
    assert ended.status == 0, ended
    return ended


def answers(ended: Ended) -> list[Any]:
    return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("[")]


@pytest.mark.parametrize("by", [*LAUNCHERS])
@pytest.mark.parametrize("shop", SHOPS)
def test_launched_program_has_ids_and_no_secret_in_its_store(shop: str, by: str) -> None:
    """Searched in the raw bytes of all that lies in the folder: queries, cookies, headers, messages of exceptions."""
    told = answers(launched("shop", shop, by=by))
    assert [status for status, _, _ in told] == [200, 500, 404, 404]
    assert [ids for _, ids, _ in told[:1]] == [["r-1"]]
    assert all(ids in (["r-1"], []) for _, ids, _ in told)
    spans, events = stored_spans(), stored_events()
    servers = [span for span in spans if span.kind == "server"]
    assert [span.attributes["url.path"] for span in servers] == ["/items/a1", "/broken", "/nowhere"]
    assert {span.attributes["otel_tracker.request_id"] for span in spans} == {"r-1"}
    assert [event.properties["otel_tracker.request_id"] for event in events] == ["r-1"]
    assert servers[0].attributes["url.query"] == "password=[redacted]&token=[redacted]&page=2"
    assert servers[0].attributes["session.id"] == hashlib.sha256(b"secret-in-cookie").hexdigest()[:32]
    assert servers[1].error["type"] == "LookupError"
    for file in Path().glob("otel-tracker*"):
        content = file.read_bytes()
        assert [secret for secret in SECRETS if secret.encode() in content] == [], file


@pytest.mark.parametrize("shop", SHOPS)
def test_captured_headers_are_redacted_as_well(shop: str) -> None:
    """Upstream stores the headers that are asked for; secrets in these are kept out all the same."""
    names = "cookie,authorization,referer,accept-language"
    launched("shop", shop, OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST=names)
    (server, *_) = [span for span in stored_spans() if span.kind == "server"]
    assert "de-AT" in str(server.attributes["http.request.header.accept_language"])
    for file in Path().glob("otel-tracker*"):
        content = file.read_bytes()
        assert [secret for secret in SECRETS if secret.encode() in content] == [], file


@pytest.mark.parametrize("shop", SHOPS)
@pytest.mark.parametrize("page_views", ["false", "true"])
def test_event_of_a_request_has_its_page_in_umami(shop: str, page_views: str) -> None:
    """Path, host, title, referrer and language are the request's; no secret leaves, and no address of a client."""
    with serving_umami() as server:
        ended = launched(
            "shop",
            shop,
            OTEL_TRACES_EXPORTER="umami",
            OTEL_TRACKER_UMAMI_ENDPOINT=server.url,
            OTEL_TRACKER_UMAMI_WEBSITE_ID=WEBSITE,
            OTEL_TRACKER_UMAMI_PAGE_VIEWS=page_views,
            OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S="20",
        )
        assert answers(ended)[0][0] == 200
        (sent,) = [payload for payload in server.payloads if payload.get("name") == "price.asked"]
        everything = b"".join(request.body for request in server.requests).decode()
    assert sent["url"] == "/items/a1"
    assert sent["hostname"] == "shop.example"
    assert "items/" in sent["title"]
    assert sent["referrer"].startswith("https://search.example/")
    assert sent["language"] == "de-AT"
    assert [secret for secret in SECRETS if secret in everything] == []
    assert "127.0.0.1" not in everything.replace(server.url, "")


def test_users_of_a_real_database_cost_no_query() -> None:
    """The same number of queries with and without us; the user is said where the program asked for it."""
    pytest.importorskip("opentelemetry.instrumentation.django")
    alone = json.loads(launched("users", OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="django").stdout)
    Path("shop.db").unlink()
    shutil.rmtree("otel-tracker.db", ignore_errors=True)
    Path("otel-tracker.db").unlink(missing_ok=True)
    observed = json.loads(launched("users").stdout)
    assert observed["counts"] == alone["counts"]
    assert [status for status, _, _ in observed["counts"].values()] == [200] * 5
    assert observed["counts"]["yes"][2] == observed["counts"]["async"][2] == "ann"
    users = {
        span.attributes["url.path"]: span.attributes.get("user.id") for span in stored_spans() if span.kind == "server"
    }
    assert (users["/log-in"], users["/touched"], users["/untouched"]) == ("42", "42", None)
    assert users["/a"] in ("42", None)  # `auser()` keeps what it loads to itself
    cookie = observed["cookie"].partition("=")[2].encode()
    content = b"".join(file.read_bytes() for file in Path().glob("otel-tracker.db*"))
    assert cookie not in content
    assert b"ann@example.com" not in content
