"""What analytics servers are told: one event, in no server's form yet, with nothing private in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


class Kind(Enum):
    """What an event is to an analytics server."""

    EVENT = "event"
    PAGE_VIEW = "page_view"
    IDENTIFY = "identify"


@dataclass(frozen=True, slots=True)
class AnalyticsEvent:
    """One event, made of a record by `otel_tracker_exporters.umami.mapping`.

    ``time_ns`` is nanoseconds since the epoch; ``path`` and ``referrer`` are encoded as in a url; what is not known is
    empty. ``properties`` are plain values, nested as in the record. ``origin`` is the same whenever the same record is
    mapped, and another for every other record.
    """

    kind: Kind
    name: str
    time_ns: int
    path: str
    hostname: str = ""
    title: str = ""
    referrer: str = ""
    language: str = ""
    visitor: str = ""
    tag: str = ""
    client_ip: str = ""
    client_user_agent: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""


@dataclass(slots=True)
class Message(Generic[Item]):
    """An event on its way, and the items of the batch that it stands for: one, but for repeated identities."""

    items: list[Item]
    event: AnalyticsEvent
    encoded: bytes = b""
