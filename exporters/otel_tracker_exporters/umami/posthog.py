"""What a PostHog server speaks: batches of events with ids of ours, so that a repeated event is recognised.

Written from PostHog's published contract (https://posthog.com/docs/api/capture) and its Python client, and tested
against a recording of that, not against a server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

from otel_tracker_exporters.umami.analytics import AnalyticsEvent, Kind
from otel_tracker_exporters.umami.dialect import STORED, Answer, Fate, Verdict, common_verdict
from otel_tracker_exporters.umami.options import POSTHOG, Options
from otel_tracker_exporters.umami.properties import moment_text
from otel_tracker_exporters.umami.texts import clean

BATCH_PATH = "/batch/"

_NAMESPACE = UUID("9f0d5c1e-7a38-4c0b-9a55-0f6a2f1b7c11")
_MAX_NAME = 200
_MAX_DEPTH = 40
_NAMES = {Kind.PAGE_VIEW: "$pageview", Kind.IDENTIFY: "$identify"}


class PostHogDialect:
    """Speaks to one server for the project whose API key is the website id."""

    name = POSTHOG
    max_events = 50
    max_bytes = 900_000
    may_repeat = True

    def __init__(self, options: Options) -> None:
        self._options = options
        self.headers: Mapping[str, str] = {"User-Agent": options.user_agent}

    def begin(self) -> None:
        """Nothing has to be found out."""

    def goes_alone(self, event: AnalyticsEvent) -> bool:
        """Never: a batch is answered as a whole."""
        return False

    def encode(self, event: AnalyticsEvent) -> bytes:
        """One entry of a batch. Its uuid is the same each time, which makes it safe to send it again."""
        uuid = str(uuid5(_NAMESPACE, clean(f"{event.kind.value}:{event.origin}")))
        entry = {
            "event": _NAMES.get(event.kind, event.name)[:_MAX_NAME],
            "distinct_id": event.visitor or uuid,
            "timestamp": moment_text(event.time_ns),
            "uuid": uuid,
            "properties": self._properties(event),
        }
        return json.dumps(_encodable(entry), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()

    def request(self, encoded: Sequence[bytes]) -> tuple[str, bytes]:
        """All of them in one batch; the project's key goes into the body."""
        key = json.dumps(self._options.website_id).encode()
        return BATCH_PATH, b'{"api_key":' + key + b',"batch":[' + b",".join(encoded) + b"]}"

    def read(self, answer: Answer, events: Sequence[AnalyticsEvent]) -> Verdict | list[Verdict]:
        """What became of the events: a batch is taken or refused as a whole, and a repeated one does no harm."""
        verdict = common_verdict(answer, len(events))
        if verdict is not None:
            return verdict
        if 200 <= answer.status < 300:
            is_page = answer.text.lstrip()[:1] == "<"
            return Verdict(Fate.DROPPED, "endpoint", "a web page", is_lasting=True) if is_page else STORED
        detail = f"{answer.status} {answer.detail}".strip()
        if answer.status >= 500:
            return Verdict(Fate.AGAIN, "busy", detail)
        if answer.status in (404, 405):
            return Verdict(Fate.DROPPED, "endpoint", detail, is_lasting=True)
        return Verdict(Fate.SPLIT) if len(events) > 1 else Verdict(Fate.DROPPED, "rejected", detail)

    def _properties(self, event: AnalyticsEvent) -> dict[str, Any]:
        host = event.hostname
        known = {
            "$current_url": f"https://{host}{event.path}" if host else event.path,
            "$pathname": event.path,
            "$host": host,
            "$referrer": event.referrer,
            "$ip": event.client_ip,
            "$raw_user_agent": event.client_user_agent,
            "environment": event.tag,
            "$lib": "otel-tracker",
        }
        found: dict[str, Any] = {key: value for key, value in known.items() if value}
        if event.kind is Kind.IDENTIFY:
            return {**found, "$set": dict(event.properties)}
        anonymous = {} if event.visitor else {"$process_person_profile": False}
        return {**found, **anonymous, "$geoip_disable": not event.client_ip, **event.properties}


def _encodable(value: Any, depth: int = 0) -> Any:
    """The value with clean texts, nested no deeper than a server reads."""
    if isinstance(value, str):
        return clean(value)
    if depth > _MAX_DEPTH:
        return clean(str(value))
    if isinstance(value, dict):
        return {clean(str(key)): _encodable(item, depth + 1) for key, item in value.items()}
    return [_encodable(item, depth + 1) for item in value] if isinstance(value, (list, tuple)) else value
