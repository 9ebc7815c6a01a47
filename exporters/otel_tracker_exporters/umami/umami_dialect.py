"""What an Umami server speaks, of any version from 2.0: ``/api/send`` for one event, ``/api/batch`` for several.

The rules come from measurements on Umami 3.1.0 and from reading the source of earlier versions. The two that matter
most: a 200 may mean that the bot filter took the event, and a 500 that an event was stored without its properties. An
answer to a batch tells the first only from version 3.0.2 on, by a missing ``cache``; until a server has shown that it
is so new, the first event of each delivery goes alone, because the answer to one tells it in all versions from 2.12.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from otel_tracker import attributes as keys
from otel_tracker_exporters.umami.analytics import AnalyticsEvent, Kind
from otel_tracker_exporters.umami.dialect import STORED, Answer, Fate, Verdict, common_verdict, shown
from otel_tracker_exporters.umami.options import UMAMI, Options
from otel_tracker_exporters.umami.properties import flat
from otel_tracker_exporters.umami.state import Server
from otel_tracker_exporters.umami.texts import clean, cut, cut_name, first_units

SEND_PATH, BATCH_PATH = "/api/send", "/api/batch"

MAX_EVENTS = 50
"""Measured: 50 a request take 0.6 to 2.8 s, 1000 took 29.8 s and went on after the client had given up."""

MAX_BYTES = 900_000
"""Below the megabyte that nginx, the usual proxy in front, takes unless it is told otherwise."""

_MAX_NAME = _MAX_TAG = 50
_MAX_TITLE = 500
_MAX_LANGUAGE = 35
_MAX_USER_AGENT = 1_000
_NS_PER_S = 1_000_000_000
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_NO_WEBSITE = "website not found"

# Prisma's: the database cannot be reached (P1xxx), or has no connection left in time (P2024). Nothing was written.
_DATABASE_DOWN = re.compile(r"P1[0-9]{3}|P2024")


class UmamiDialect:
    """Speaks to one server for one website; ``server`` is what the process knows of it."""

    name = UMAMI
    max_events = MAX_EVENTS
    max_bytes = MAX_BYTES
    may_repeat = False

    def __init__(self, options: Options, server: Server) -> None:
        self._options = options
        self._server = server
        self._is_let_through = False
        api_key = {"x-umami-api-key": options.api_key} if options.api_key else {}
        self.headers: Mapping[str, str] = {"User-Agent": options.user_agent, **api_key}

    def begin(self) -> None:
        """Look again whether the bot filter lets us through, where the answer to a batch does not tell."""
        if not self._server.gives_cache:
            self._is_let_through = False

    def goes_alone(self, event: AnalyticsEvent) -> bool:
        """Where a batch would hide what became of it: a visitor's own User-Agent may be a bot's."""
        server = self._server
        return bool(event.client_user_agent) or not (server.has_batch and (server.gives_cache or self._is_let_through))

    def encode(self, event: AnalyticsEvent) -> bytes:
        """The event as Umami takes it; what is unknown is left out, because a null is refused."""
        kind = "identify" if event.kind is Kind.IDENTIFY else "event"
        document = {"type": kind, "payload": self._payload(event)}
        return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()

    def request(self, encoded: Sequence[bytes]) -> tuple[str, bytes]:
        """One event by itself, several as an array."""
        return (SEND_PATH, encoded[0]) if len(encoded) == 1 else (BATCH_PATH, b"[" + b",".join(encoded) + b"]")

    def read(self, answer: Answer, events: Sequence[AnalyticsEvent]) -> Verdict | list[Verdict]:
        """What became of the events."""
        if len(events) > 1:
            return self._read_batch(answer, len(events))
        verdict = _read_one(answer)
        if not events[0].client_user_agent:
            self._is_let_through = verdict.fate is Fate.STORED
        return verdict

    def _payload(self, event: AnalyticsEvent) -> dict[str, Any]:
        is_event = event.kind is Kind.EVENT
        name = cut_name(event.name, _MAX_NAME)
        properties = event.properties
        if is_event and name != event.name:
            properties = {keys.EVENT_NAME: event.name, **properties}
        payload = {
            "website": self._options.website_id,
            "name": name if is_event else "",
            "url": event.path,
            "hostname": event.hostname,
            "title": _title(event.title),
            "referrer": event.referrer,
            "language": first_units(clean(event.language), _MAX_LANGUAGE),
            "tag": cut_name(clean(event.tag), _MAX_TAG),
            "id": event.visitor,
            "ip": clean(event.client_ip),
            "userAgent": clean(event.client_user_agent)[:_MAX_USER_AGENT] or self._options.user_agent,
            "timestamp": max(1, min(event.time_ns // _NS_PER_S, self._server.latest_s())),
            "data": flat(properties, may_have_revenue=is_event),
        }
        return {key: value for key, value in payload.items() if value not in ("", {})}

    def _read_batch(self, answer: Answer, number: int) -> Verdict | list[Verdict]:
        if 200 <= answer.status < 300:
            return self._read_batch_answer(answer, number)
        verdict = common_verdict(answer, number) or _error_verdict(answer.json(), answer)
        if answer.status in (404, 405, 501) or (answer.status == 500 and verdict.fate is Fate.DROPPED):
            return Verdict(Fate.NO_BATCH)
        return Verdict(Fate.SPLIT) if verdict.reason == "rejected" else verdict

    def _read_batch_answer(self, answer: Answer, number: int) -> Verdict | list[Verdict]:
        told = answer.json()
        if not isinstance(told, dict) or not isinstance(told.get("errors"), int):
            return Verdict(Fate.NO_BATCH) if _is_page(answer) else Verdict(Fate.UNKNOWN, "no_answer", answer.detail)
        refused = {
            entry["index"]: _error_verdict(entry.get("response"), answer)
            for entry in told.get("details") or ()
            if isinstance(entry, dict) and isinstance(entry.get("index"), int) and 0 <= entry["index"] < number
        }
        others = self._verdict_of_others(told, len(refused), number)
        return [refused.get(index, others) for index in range(number)]

    def _verdict_of_others(self, told: Mapping[str, Any], refused: int, number: int) -> Verdict:
        """What became of those of a batch that the answer does not name."""
        if told["errors"] != refused or told.get("size", number) != number:
            return Verdict(Fate.UNKNOWN, "no_answer", "it does not say which events of a batch it refused")
        if told.get("cache"):
            self._server.gives_cache = True
            return STORED
        if self._server.gives_cache or not self._is_let_through:
            return Verdict(Fate.DROPPED, "bot")
        return STORED


def _read_one(answer: Answer) -> Verdict:
    if not 200 <= answer.status < 300:
        return common_verdict(answer, 1) or _error_verdict(answer.json(), answer)
    told = answer.json()
    if isinstance(told, dict):
        is_bot = "beep" in told or not told or told.get("ok") is True
        return Verdict(Fate.DROPPED, "bot") if is_bot else STORED
    text = answer.text.strip()
    if _is_page(answer):
        return Verdict(Fate.DROPPED, "endpoint", "a web page", is_lasting=True)
    if text.lower() == "ok":  # what the bot filter of versions before 2.12 says
        return Verdict(Fate.DROPPED, "bot")
    # Before 2.17 the answer is a token, which is no JSON.
    return STORED if text else Verdict(Fate.UNKNOWN, "no_answer", "an empty answer")


def _error_verdict(told: Any, answer: Answer) -> Verdict:
    """What an error of Umami's own says, alone or inside the answer to a batch."""
    error = told.get("error") if isinstance(told, dict) else None
    if isinstance(told, dict) and "beep" in told:
        return Verdict(Fate.DROPPED, "bot")
    fields = error if isinstance(error, dict) else {}
    inner = fields.get("errorObject")
    codes = [part.get(name) for part in (fields, inner) if isinstance(part, dict) for name in ("code", "errorCode")]
    if any(isinstance(code, str) and _DATABASE_DOWN.fullmatch(code) for code in codes):
        return Verdict(Fate.AGAIN, "database", _detail(fields, answer))
    detail = _detail(fields, answer) if fields else _detail_of_text(error, answer)
    if _NO_WEBSITE in detail.lower():
        return Verdict(Fate.DROPPED, "website", detail, is_lasting=True)
    if "forbidden" in codes:
        return Verdict(Fate.DROPPED, "forbidden", detail, is_lasting=True)
    if answer.status in (404, 405):
        return Verdict(Fate.DROPPED, "endpoint", detail, is_lasting=True)
    is_server_error = answer.status >= 500 or "server-error" in codes or isinstance(inner, dict)
    return Verdict(Fate.DROPPED, "server_error" if is_server_error else "rejected", detail)


def _detail(fields: Mapping[str, Any], answer: Answer) -> str:
    """The message and the code of an error, never its stack trace."""
    message, code = fields.get("message"), fields.get("code")
    inner = fields.get("errorObject")
    if isinstance(inner, dict):
        message, code = message or inner.get("message"), inner.get("code") or code
    if isinstance(message, dict):
        message = json.dumps(message)
    words = [str(part) for part in (code, message) if isinstance(part, str) and part]
    return shown(": ".join(words)) or answer.detail


def _detail_of_text(error: Any, answer: Answer) -> str:
    text = shown(error) if isinstance(error, str) else answer.detail
    return f"{answer.status} {text}".strip() if answer.status >= 300 else text


def _title(text: str) -> str:
    """A title that reads as it is: Umami decodes ``%41``, so a percent sign that would be decoded is escaped."""
    title = clean(text)
    if not _ESCAPE.search(title):
        return cut(title, _MAX_TITLE)
    return cut(title, _MAX_TITLE // 3).replace("%", "%25")


def _is_page(answer: Answer) -> bool:
    return answer.text.lstrip()[:1] == "<"
