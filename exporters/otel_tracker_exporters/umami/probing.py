"""What ``otel-tracker doctor umami`` does: one probe event by the way of a single one, and the answer in words.

A single event's answer is the only one that tells a drop by the bot filter in every version from 2.12 on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from otel_tracker.errors import OtelTrackerError
from otel_tracker_exporters.umami.analytics import AnalyticsEvent, Kind
from otel_tracker_exporters.umami.connection import Connection, NoAnswerError, NotSentError
from otel_tracker_exporters.umami.dialect import Answer, Fate, Verdict
from otel_tracker_exporters.umami.dialects import dialect_of
from otel_tracker_exporters.umami.explaining import place_of, sentence_of
from otel_tracker_exporters.umami.options import UMAMI, Options, options_of
from otel_tracker_exporters.umami.state import Server

OK, NOTE, PROBLEM = "ok", "note", "problem"

PROBE_NAME = "otel_tracker.probe"
_PROBE_PATH = "/otel_tracker/probe"
_OLD = (
    "It answers as versions before 2.17 do: events are sent one by one, get the time of their arrival, and some of "
    "those versions do not say what their bot filter drops. Update it."
)


def findings() -> Iterator[tuple[str, str]]:
    """Pairs of verdict (``ok``, ``note``, ``problem``) and sentence; never raises for what a server does."""
    try:
        options = options_of({})
        server = Server()
        dialect = dialect_of(options, server)
        connection = Connection(options.base_url, dialect.headers, options.timeout_s)
    except OtelTrackerError as error:
        yield PROBLEM, str(error)
        return
    event = AnalyticsEvent(Kind.EVENT, PROBE_NAME, time.time_ns(), _PROBE_PATH, hostname=options.hostname or "")
    path, body = dialect.request([dialect.encode(event)])
    try:
        answer = connection.post(path, body)
    except NotSentError as error:
        yield PROBLEM, sentence_of(Verdict(Fate.AGAIN, "unreachable", str(error)), options)
        return
    except NoAnswerError as error:
        yield PROBLEM, sentence_of(Verdict(Fate.UNKNOWN, "no_answer", str(error)), options)
        return
    finally:
        connection.close()
    found = dialect.read(answer, [event])
    yield from _said(found[0] if isinstance(found, list) else found, answer, options)


def _said(verdict: Verdict, answer: Answer, options: Options) -> Iterator[tuple[str, str]]:
    if verdict.fate is not Fate.STORED:
        yield PROBLEM, sentence_of(verdict, options)
        return
    took = f"{place_of(options)} has stored the probe event {PROBE_NAME}"
    yield OK, f"{took} for website {options.website_id}." if options.dialect == UMAMI else f"{took}."
    if options.dialect == UMAMI and not _is_recent(answer):
        yield NOTE, _OLD


def _is_recent(answer: Answer) -> bool:
    """Whether the answer has the form of version 2.17 and later."""
    told = answer.json()
    return isinstance(told, dict) and ("sessionId" in told or "cache" in told)
