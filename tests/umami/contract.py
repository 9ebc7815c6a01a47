"""What an Umami 3.1.0 server does with one event, as it was measured: what it refuses, and what it stores by halves.

Written from measurements of a real server, not from any client of it. Three tables stand for its database; writes are
not transactional there, and so they are not here: an event may be stored without its properties.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

OPTIONAL_TEXTS = {"hostname": 100, "language": 35, "screen": 11, "tag": 50, "name": 50}
UNBOUNDED_TEXTS = ("url", "title", "referrer", "id", "ip", "userAgent", "browser", "os", "device")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}(Z|\+\d\d:\d\d)?)?", re.ASCII)
_BOTS = re.compile(r"bot|crawl|spider|https?:|urllib|aiohttp|httpx|requests|otlp|werkzeug|testclient|curl", re.I)


class RefusedError(Exception):
    """400: nothing is stored."""


class FailedError(Exception):
    """500 with an error code of the database's, or none."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


def is_bot(user_agent: str) -> bool:
    """As isbot of all measured versions: lone words, ``word/version``, urls, and what calls itself a robot."""
    return bool(re.fullmatch(r"[\w.-]+(/[\w.]+)?", user_agent)) or bool(_BOTS.search(user_agent))


@dataclass
class Database:
    """The rows; ``data`` and ``revenue`` refer to events by their position."""

    events: list[dict[str, Any]] = field(default_factory=list)
    data: list[tuple[int, str, Any, str]] = field(default_factory=list)
    revenue: list[tuple[int, float, str]] = field(default_factory=list)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def properties_of(self, position: int) -> dict[str, Any]:
        return {key: value for event, key, value, _ in self.data if event == position}

    def types_of(self, position: int) -> dict[str, str]:
        return {key: kind for event, key, _, kind in self.data if event == position}

    @property
    def half_stored(self) -> list[dict[str, Any]]:
        """Events that came with properties and lie there without all of them, or without their revenue."""
        return [event for event in self.events if not event["is_whole"]]


def check_schema(document: Any) -> None:
    """Raise `RefusedError` for what the schema does not allow."""
    if not isinstance(document, dict):
        raise RefusedError("expected object")
    if document.get("type") not in ("event", "identify", "performance") or not isinstance(
        document.get("payload"), dict
    ):
        raise RefusedError("Invalid type or payload")
    payload = document["payload"]
    if not isinstance(payload.get("website"), str) or not _UUID.fullmatch(payload["website"]):
        raise RefusedError("website: Invalid UUID")
    for name in (*OPTIONAL_TEXTS, *UNBOUNDED_TEXTS):
        if name in payload and not isinstance(payload[name], str):
            raise RefusedError(f"{name}: expected string")
    for name, limit in OPTIONAL_TEXTS.items():
        if len(payload.get(name, "").encode("utf-16-le", "surrogatepass")) // 2 > limit:
            raise RefusedError(f"{name}: Too big")
    _check_timestamp(payload.get("timestamp"))
    if "data" in payload and not isinstance(payload["data"], dict):
        raise RefusedError("data: expected record")
    for name in ("url", "referrer"):
        _check_url(payload.get(name, ""))


def _check_timestamp(timestamp: Any) -> None:
    if timestamp is None:
        return
    if isinstance(timestamp, bool) or not isinstance(timestamp, int) or abs(timestamp) >= 2**53:
        raise RefusedError("timestamp: expected integer")


def _check_url(url: str) -> None:
    authority = re.match(r"(?:\w+:)?[/\\]{2}([^/\\?#]*)", url)
    if authority and "[" in authority[1]:
        raise RefusedError("Invalid URL")
    if re.match(r"/\\\[", url):
        raise RefusedError("Invalid URL")


def store(database: Database, document: dict[str, Any]) -> str:
    """Store one event that has passed the schema; its session. Raises `FailedError`, perhaps with half of it stored."""
    payload = document["payload"]
    session = _session(database, payload)
    if document["type"] == "identify":
        _store_traits(database, session, payload.get("data", {}))
        return session
    position = _store_event(database, session, payload)
    rows = _rows(payload.get("data", {}))
    if any("\0" in text for row in rows for text in (row[0], row[1]) if isinstance(text, str)):
        raise FailedError("invalid byte sequence for encoding")
    for key, value, kind in rows:
        _check_row(key, value, kind)
    database.data += [(position, *row) for row in rows]
    _store_revenue(database, position, payload)
    database.events[position]["is_whole"] = True
    return session


def _session(database: Database, payload: dict[str, Any]) -> str:
    name = payload.get("id") or f"{payload.get('ip', 'ip')}|{payload.get('userAgent', '')}"
    if len(payload.get("id", "")) > 50:
        raise FailedError("value too long for type character varying(50)", "P2010")
    if any(len(payload.get(key, "")) > 20 for key in ("browser", "os", "device")):
        raise FailedError("value too long for type character varying(20)", "P2010")
    database.sessions.setdefault(name, {})
    if not is_url_host(payload.get("hostname", "")):
        raise FailedError("Invalid URL", "ERR_INVALID_URL")
    return name


def is_url_host(host: str) -> bool:
    """Whether ``https://<host>`` is a url for Node."""
    if not host:
        return True
    name, _, port = host.partition(":")
    if not re.fullmatch(r"[A-Za-z0-9._~!$&'()*+,;=-]+", name) or (port and not (port.isdigit() and int(port) < 65536)):
        return False
    if ":" in host and not port:
        return False
    labels = name.rstrip(".").split(".")
    if any(label.lower().startswith("xn--") for label in labels):
        return False
    if re.fullmatch(r"\d+|0[xX][0-9a-fA-F]*", labels[-1]):
        return len(labels) == 4 and all(label.isdigit() and int(label) < 256 for label in labels)
    return True


def _store_event(database: Database, session: str, payload: dict[str, Any]) -> int:
    url = payload.get("url", "")
    path, _, query = url.partition("?")
    if "%00" in path or any("\0" in payload.get(name, "") for name in ("name", "title", "url", "tag", "referrer")):
        raise FailedError("invalid byte sequence for encoding")
    for pair in query.split("&"):
        if pair.startswith(("utm_", "gclid", "fbclid")) and len(pair.partition("=")[2]) > 255:
            raise FailedError("value too long for type character varying(255)", "P2000")
    timestamp = payload.get("timestamp")
    if timestamp is not None and abs(timestamp) > 10**14:
        raise FailedError("timestamp out of range", "P2010")
    database.events.append(
        {
            "id": str(uuid4()),
            "session": session,
            "name": payload.get("name") or None,
            "type": "custom" if payload.get("name") else "page view",
            "path": unquote(urlsplit(path).path if "://" in path else path)[:500],
            "query": query[:500],
            "hostname": payload.get("hostname") or "localhost",
            "title": _decoded(payload.get("title", ""))[:500],
            "referrer": payload.get("referrer", ""),
            "tag": payload.get("tag"),
            "language": payload.get("language"),
            "timestamp": timestamp,
            "is_whole": False,
        }
    )
    return len(database.events) - 1


def _decoded(title: str) -> str:
    return title if re.search(r"%(?![0-9A-Fa-f]{2})", title) else unquote(title)


def _rows(data: dict[str, Any], prefix: str = "") -> list[tuple[str, Any, str]]:
    rows: list[tuple[str, Any, str]] = []
    for key, value in data.items():
        path = f"{prefix}.{key}" if prefix else key
        if isinstance(value, dict):
            rows += _rows(value, path)
        elif isinstance(value, bool):
            rows.append((path, str(value).lower(), "boolean"))
        elif isinstance(value, (int, float)):
            rows.append((path, value, "number"))
        elif value is None or isinstance(value, list):
            rows.append((path, json.dumps(value, separators=(",", ":"), ensure_ascii=False), "array"))
        else:
            rows.append((path, value, "date" if _DATE.fullmatch(value) else "string"))
    return rows


def _check_row(key: str, value: Any, kind: str) -> None:
    if len(key) > 500 or (isinstance(value, str) and len(value) > 500):
        raise FailedError("value too long for type character varying(500)", "P2000")
    if kind == "number" and abs(value) >= 1e15:
        raise FailedError("numeric field overflow", "P2020")
    if kind == "date":
        try:
            is_real = datetime.strptime(value[:19], "%Y-%m-%dT%H:%M:%S").year > 0
        except ValueError:
            is_real = False
        if not is_real:
            raise FailedError("Invalid time value")


def _store_revenue(database: Database, position: int, payload: dict[str, Any]) -> None:
    data = payload.get("data", {})
    revenue, currency = data.get("revenue"), data.get("currency")
    if not revenue or not currency:
        return
    if not isinstance(currency, str) or len(currency) > 10 or revenue is True or not payload.get("name"):
        raise FailedError("invalid revenue", "P2010")
    try:
        amount = float(revenue)
    except (TypeError, ValueError):
        return
    if amount >= 1e15:
        raise FailedError("numeric field overflow", "P2020")
    if amount > 0:
        database.revenue.append((position, amount, currency))


def _store_traits(database: Database, session: str, data: dict[str, Any]) -> None:
    rows = _rows(data)
    for key, value, kind in rows:
        if isinstance(value, str) and "\0" in value + key:
            raise FailedError("invalid byte sequence for encoding")
        _check_row(key, value, kind)
    database.sessions[session].update({key: value for key, value, _ in rows})
