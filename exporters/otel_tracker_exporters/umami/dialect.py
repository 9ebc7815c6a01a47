"""What one kind of analytics server speaks: the small object that tells servers apart.

A dialect encodes events, says how they are put into a request and reads the answer; filtering, mapping, batches,
retries and counting are the same for all (`delivering`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

from otel_tracker_exporters.umami.analytics import AnalyticsEvent

MAX_DETAIL = 200
"""Characters of a server's answer that are quoted: an error of Umami's has 5,000, with a stack trace."""


class Fate(Enum):
    """What an answer means for an event."""

    STORED = auto()
    AGAIN = auto()  # not stored; the server cannot take it now
    UNKNOWN = auto()  # nobody knows whether it was stored
    DROPPED = auto()  # never stored, for the reason given
    SPLIT = auto()  # nothing of the batch was stored; each alone
    HALVE = auto()  # the request was too large
    NO_BATCH = auto()  # this server takes no batches


@dataclass(frozen=True, slots=True)
class Verdict:
    """The fate of an event, or of all events of a request.

    ``reason`` is a short word, ``detail`` what the server said. With ``is_lasting`` the server would answer the same
    for every event, so that it need not be asked for a while. ``after_s`` is how long it wants to be left alone.
    """

    fate: Fate
    reason: str = ""
    detail: str = ""
    is_lasting: bool = False
    after_s: float = 0.0


STORED = Verdict(Fate.STORED)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer of a server; ``ahead_s`` is how far our clock is ahead of its, None where it did not say."""

    status: int
    text: str = ""
    retry_after_s: float = 0.0
    location: str = ""
    ahead_s: float | None = None

    def json(self) -> Any:
        """The body as a value, or None when it is no JSON."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            return None

    @property
    def detail(self) -> str:
        """The beginning of the body, fit for one line of a log."""
        return shown(self.text)


class Dialect(Protocol):
    """How one kind of server is spoken to."""

    name: str
    max_events: int
    max_bytes: int
    headers: Mapping[str, str]
    may_repeat: bool
    """Whether the server recognises an event that it has already."""

    def begin(self) -> None:
        """A delivery begins."""

    def goes_alone(self, event: AnalyticsEvent) -> bool:
        """Whether the event has to be a request of its own."""
        ...

    def encode(self, event: AnalyticsEvent) -> bytes:
        """The event as JSON that the server takes."""
        ...

    def request(self, encoded: Sequence[bytes]) -> tuple[str, bytes]:
        """The path under the base url, and the body."""
        ...

    def read(self, answer: Answer, events: Sequence[AnalyticsEvent]) -> Verdict | list[Verdict]:
        """What the answer means: one verdict for all events, or one each, in their order."""
        ...


def shown(text: str) -> str:
    """A server's words in one line of at most `MAX_DETAIL` printable characters."""
    words = " ".join(text[: 4 * MAX_DETAIL].split())
    return "".join(character for character in words if character.isprintable())[:MAX_DETAIL]


def common_verdict(answer: Answer, number: int) -> Verdict | None:
    """What an answer means whichever server gives it, proxies in front included; None for those that are its own."""
    status, detail = answer.status, f"{answer.status} {answer.detail}".strip()
    if status in _BUSY:
        return Verdict(Fate.AGAIN, "busy", detail, after_s=answer.retry_after_s)
    if status in _AMBIGUOUS:
        return Verdict(Fate.UNKNOWN, "no_answer", detail)
    if status == 413:
        return Verdict(Fate.HALVE) if number > 1 else Verdict(Fate.DROPPED, "too_large", detail)
    if 300 <= status < 400:
        detail = f"{status} to {shown(answer.location)}"
        return Verdict(Fate.DROPPED, "endpoint", detail, is_lasting=True)
    if status in _FORBIDDEN:
        return Verdict(Fate.DROPPED, "forbidden", detail, is_lasting=True)
    return None


# 408, 421 and 425 say that the request was not processed, 429 and 503 that it will be later; 52x are Cloudflare's, of
# which 520 and 524 come when the server was reached and gave no (whole) answer, as 504 does.
_BUSY = frozenset({408, 421, 425, 429, 502, 503, 521, 522, 523})
_AMBIGUOUS = frozenset({504, 520, 524})
_FORBIDDEN = frozenset({401, 402, 403, 407})
