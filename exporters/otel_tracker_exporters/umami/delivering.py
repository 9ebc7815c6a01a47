"""Delivers events to a server: cuts them into requests, reads the answers, and says what became of each event.

What the server cannot take now goes back to the lane in front, whose journal keeps it for as long as that lasts. Where
the server would refuse every event (a wrong website), it is left alone for a while, and what comes is dropped and
counted.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from otel_tracker.delivery.outcomes import Outcome
from otel_tracker.diagnostics import report_internal_error, say_once, say_rarely
from otel_tracker_exporters.umami.analytics import Kind, Message
from otel_tracker_exporters.umami.connection import Connection, NoAnswerError, NotSentError
from otel_tracker_exporters.umami.dialect import Dialect, Fate, Verdict
from otel_tracker_exporters.umami.explaining import log_sentence_of
from otel_tracker_exporters.umami.identities import Identities
from otel_tracker_exporters.umami.options import Options
from otel_tracker_exporters.umami.state import Server

Item = TypeVar("Item")

UNFIT = "unfit"
REST_S = 300.0
"""How long a server that would refuse everything is left alone."""

# A clock that differs more is rather wrong in an answer, perhaps a proxy's, than here.
_MAX_AHEAD_S = 86_400.0

_STOPPING = (Fate.AGAIN, Fate.UNKNOWN)
_NOT_TRIED = Verdict(Fate.AGAIN)


class Deliverer(Generic[Item]):
    """Sends messages to one server for one exporter; used by one thread at a time, but for `close`."""

    def __init__(self, options: Options, dialect: Dialect, server: Server, connection: Connection) -> None:
        self._options = options
        self._dialect = dialect
        self._server = server
        self._connection = connection
        self._may_repeat = options.is_at_least_once or dialect.may_repeat
        self._identities = Identities()
        # After a request without an answer the next is of one event, so that no more than that can become unknown: a
        # container's proxy takes connections, and breaks them, while the server behind it is being started.
        self._is_careful = False
        self._refusal: Verdict | None = None
        self._ask_again_s = 0.0

    def deliver(self, messages: Sequence[Message[Item]]) -> Outcome[Item]:
        """What became of every item of the messages. Never raises; each wait has a deadline."""
        outcome: Outcome[Item] = Outcome()
        waiting = deque(self._identities.unknown_of(messages, outcome))
        self._dialect.begin()
        while waiting:
            if self._connection.is_closed:
                self._settle(waiting, [_NOT_TRIED] * len(waiting), outcome)
                break
            if (refusal := self._refusal_now()) is not None:
                self._settle(waiting, [refusal] * len(waiting), outcome)
                break
            part = self._next_part(waiting, outcome)
            if not part:
                continue
            verdicts = self._sent(part)
            self._is_careful = verdicts[-1].fate is Fate.UNKNOWN
            self._settle(part, verdicts, outcome)
            if verdicts[-1].fate in _STOPPING or any(verdict.fate is Fate.AGAIN for verdict in verdicts):
                self._settle(waiting, [_NOT_TRIED] * len(waiting), outcome)
                break
        return outcome

    def _refusal_now(self) -> Verdict | None:
        return self._refusal if time.monotonic() < self._ask_again_s else None

    def _next_part(self, waiting: deque[Message[Item]], outcome: Outcome[Item]) -> list[Message[Item]]:
        """The next messages that make a request, encoded; one that cannot be encoded is dropped."""
        part: list[Message[Item]] = []
        size = 0
        while waiting and len(part) < self._dialect.max_events:
            message = waiting[0]
            is_alone = self._is_careful or self._dialect.goes_alone(message.event)
            if part and (is_alone or size > self._dialect.max_bytes):
                break
            waiting.popleft()
            if not self._is_encoded(message):
                outcome.drop(UNFIT, len(message.items))
                continue
            size += len(message.encoded)
            part.append(message)
            if is_alone:
                break
        return part

    def _is_encoded(self, message: Message[Item]) -> bool:
        try:
            message.encoded = self._dialect.encode(message.event)
        except Exception as error:  # whatever a program puts into its events, the others shall go on
            report_internal_error("encoding an event", error)
            return False
        return True

    def _sent(self, part: Sequence[Message[Item]]) -> list[Verdict]:
        """One verdict for each message; batches that the server does not take as a whole are taken apart."""
        found = self._asked(part)
        if isinstance(found, list):
            return found
        if found.fate is Fate.HALVE:
            middle = len(part) // 2
            return self._sent_in_turn([part[:middle], part[middle:]])
        if found.fate is Fate.NO_BATCH:
            self._server.has_batch = False
        if found.fate in (Fate.NO_BATCH, Fate.SPLIT):
            return self._sent_in_turn([[message] for message in part])
        return [found] * len(part)

    def _sent_in_turn(self, parts: Sequence[Sequence[Message[Item]]]) -> list[Verdict]:
        """As `_sent` for each part, until the server takes no more or would refuse everything."""
        verdicts: list[Verdict] = []
        for part in parts:
            last = verdicts[-1] if verdicts else None
            if last is not None and last.fate in _STOPPING:
                verdicts += [replace(_NOT_TRIED, after_s=last.after_s)] * len(part)
            elif last is not None and last.is_lasting:
                verdicts += [last] * len(part)
            else:
                verdicts += self._sent(part)
        return verdicts

    def _asked(self, part: Sequence[Message[Item]]) -> Verdict | list[Verdict]:
        """Send one request and read its answer."""
        path, body = self._dialect.request([message.encoded for message in part])
        if not self._server.take_turn(2 * self._options.timeout_s, lambda: self._connection.is_closed):
            return _NOT_TRIED
        try:
            answer = self._connection.post(path, body)
        except NotSentError as error:
            return _NOT_TRIED if self._connection.is_closed else Verdict(Fate.AGAIN, "unreachable", str(error))
        except NoAnswerError as error:
            return Verdict(Fate.UNKNOWN, "no_answer", str(error))
        finally:
            self._server.end_turn()
        if answer.ahead_s is not None and answer.ahead_s < _MAX_AHEAD_S:
            self._server.ahead_s = answer.ahead_s
        return self._dialect.read(answer, [message.event for message in part])

    def _settle(
        self, messages: Sequence[Message[Item]] | deque[Message[Item]], verdicts: list[Verdict], outcome: Outcome[Item]
    ) -> None:
        """Count each message by its verdict, remember what lasts, and say once what a user has to know."""
        for message, verdict in zip(messages, verdicts, strict=True):
            self._count(message, verdict, outcome)
            if verdict.is_lasting and verdict is not self._refusal:
                self._refusal, self._ask_again_s = verdict, time.monotonic() + REST_S
            self._say(verdict)

    def _count(self, message: Message[Item], verdict: Verdict, outcome: Outcome[Item]) -> None:
        is_repeated = verdict.fate is Fate.UNKNOWN and self._may_repeat
        if verdict.fate is Fate.STORED:
            outcome.exported += len(message.items)
            if message.event.kind is Kind.IDENTIFY:
                self._identities.remember(message.event)
        elif verdict.fate is Fate.AGAIN or is_repeated:
            outcome.again += message.items
            outcome.again_after_s = max(outcome.again_after_s, verdict.after_s)
        elif verdict.fate is Fate.UNKNOWN:
            outcome.unknown += len(message.items)
        else:
            outcome.drop(f"{self._dialect.name}_{verdict.reason}", len(message.items))

    def _say(self, verdict: Verdict) -> None:
        if verdict.fate is Fate.STORED or not verdict.reason:
            return
        key = f"{self._options.dialect}:{verdict.reason}:{self._options.shown_url}:{self._options.website_id}"
        sentence = log_sentence_of(verdict, self._options, may_repeat=self._may_repeat)
        if verdict.fate is Fate.DROPPED:
            say_once(sentence, key=key)
        else:
            say_rarely(sentence, key=key)
