"""Starts an example application by the command in its README, on a free port, and reads what it has stored."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from docs.pages import ROOT, blocks_of
from docs.running import environment
from support import stored_events, stored_spans

from otel_tracker import EventRecord, SpanRecord
from otel_tracker import attributes as keys

from .servers import Program, free_port, takes_connections

PORT = "8000"
"""The port in the READMEs, which stands for the free one."""

_ASK_TIMEOUT_S = 60.0

# What the tests' environment has installed beside what an example names; its spans are in no README.
_UNNAMED = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "sqlite3"}


class Example(Program):
    """A copy of the application, started; ``folder`` is the one that its commands are typed in."""

    def __init__(self, name: str, parent: Path) -> None:
        copy = parent / name
        ignored = shutil.ignore_patterns("__pycache__", "*.db*", "*.jsonl")
        shutil.copytree(ROOT / "examples" / name, copy, ignore=ignored)
        self.folder = copy if (copy / "manage.py").is_file() else parent
        self.port = free_port()
        self.environment = {**environment(), **_UNNAMED, "XDG_STATE_HOME": str(parent / "state")}
        super().__init__(["sh", "-c", self.with_port(start_command(name))], self.environment, self.folder)

    def with_port(self, command: str) -> str:
        """A command of the README, with this server's port."""
        return command.replace(PORT, str(self.port))

    def stop(self) -> None:
        """Send SIGTERM to everything that the command has started, and wait until all of it is over."""
        os.killpg(self.pid, signal.SIGTERM)
        self.wait_for_end()


def start_command(name: str) -> str:
    """The one command that starts the example: the first of its README."""
    blocks = [block for block in blocks_of(f"examples/{name}/README.md") if block.language == "console"]
    return blocks[0].commands()[0][0]


@contextmanager
def serving_example(name: str, parent: Path) -> Iterator[Example]:
    """The example, copied into this folder, taking connections; afterwards nothing of it runs, whatever happened."""
    example = Example(name, parent)
    try:
        example.wait_until(lambda: takes_connections(example.port))
        yield example
    finally:
        example.kill()


@dataclass(frozen=True)
class Answer:
    """One request as its client saw it; ``user`` is who asked, or nothing."""

    user: str
    request: str
    status: int
    request_id: str
    body: Any = None


def ask(port: int, request: str, content: Any = None, *, user: str = "", **headers: str) -> Answer:
    """Send ``GET /path`` or the like, with JSON content if there is some; ``_`` in a header's name stands for ``-``."""
    method, path = request.split()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = HTTPConnection("127.0.0.1", port, timeout=_ASK_TIMEOUT_S)
    try:
        body = None if content is None else json.dumps(content)
        connection.request(method, path, body, {"Content-Type": "application/json", **sent})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    is_json = response.headers.get_content_type() == "application/json"
    request_id = response.headers.get("X-Request-ID", "")
    return Answer(user, request, response.status, request_id, json.loads(text) if is_json and text else text)


class Stored:
    """What an application has left in its store."""

    def __init__(self, folder: Path) -> None:
        store = folder / "otel-tracker.db"
        self.spans, self.events = stored_spans(store), stored_events(store)

    def request(self, answer: Answer) -> SpanRecord:
        """The one span of the request that was answered so."""
        found = [span for span in self.servers() if span.attributes[keys.REQUEST_ID] == answer.request_id]
        assert len(found) == 1, (answer, found)
        return found[0]

    def servers(self) -> list[SpanRecord]:
        """The spans of requests and WebSocket sessions."""
        return [span for span in self.spans if span.kind == "server"]

    def below(self, request: SpanRecord) -> list[SpanRecord]:
        """The other spans of the request's trace."""
        return [span for span in self.spans if span.trace_id == request.trace_id and span != request]

    def events_of(self, request: SpanRecord) -> list[EventRecord]:
        """The events of the request's trace."""
        return [event for event in self.events if event.trace_id == request.trace_id]

    def assert_connected(self) -> None:
        """Every trace is one request with everything else below it, and every event is of a span that is stored."""
        ids = {(span.trace_id, span.span_id) for span in self.spans}
        roots = [span for span in self.spans if not span.parent_span_id]
        orphans = [
            span for span in self.spans if span.parent_span_id and (span.trace_id, span.parent_span_id) not in ids
        ]
        assert orphans == []
        assert {span.kind for span in roots} == {"server"}
        assert set(Counter(span.trace_id for span in roots).values()) == {1}
        assert len(self.servers()) == len(roots)
        assert [event for event in self.events if (event.trace_id, event.span_id) not in ids] == []

    def assert_answered(self, answers: Collection[Answer], *, besides: int = 0) -> None:
        """There is one request for each answer, with its status; each id is another one.

        ``besides``: how many requests and sessions there are of anybody else.
        """
        assert len({answer.request_id for answer in answers}) == len(answers) == len(self.servers()) - besides
        for answer in answers:
            assert self.request(answer).attributes[keys.HTTP_RESPONSE_STATUS_CODE] == answer.status, answer

    def assert_users(self, answers: Collection[Answer]) -> None:
        """All spans and events of each request bear who asked, and those of somebody unknown nobody."""
        for answer in answers:
            request = self.request(answer)
            users = {span.attributes.get(keys.USER_ID, "") for span in (request, *self.below(request))}
            users |= {event.properties.get(keys.USER_ID, "") for event in self.events_of(request)}
            assert users == {answer.user}, answer

    def assert_request_ids(self, answers: Collection[Answer]) -> None:
        """All spans and events of each request bear its id."""
        for answer in answers:
            request = self.request(answer)
            ids = {span.attributes[keys.REQUEST_ID] for span in (request, *self.below(request))}
            ids |= {event.properties[keys.REQUEST_ID] for event in self.events_of(request)}
            assert ids == {answer.request_id}, answer

    def assert_failed_once(self, answer: Answer, error_type: str) -> SpanRecord:
        """The request has failed with this error, which is recorded by one span, the deepest that failed."""
        request = self.request(answer)
        failed = [span for span in (request, *self.below(request)) if span.status == "failed"]
        assert {span.error["type"] for span in failed} == {error_type}
        assert request in failed
        [recorded] = [span for span in failed if any(event["name"] == "exception" for event in span.events)]
        assert recorded.span_id not in {span.parent_span_id for span in failed}
        assert error_type in recorded.error["traceback"]
        assert request.attributes[keys.ERROR_TYPE] == error_type
        return recorded
