"""One connection to a server, through httpx: what was sent for certain, and what was not, is told apart.

https://www.python-httpx.org/advanced/extensions/#trace says how far a request has come. A request whose body was not
sent whole cannot have been carried out. One that was sent and got no answer may have been, and must not be sent again.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urljoin, urlsplit

from otel_tracker.delivery.untraced import untraced
from otel_tracker.errors import MissingExtraError
from otel_tracker_exporters.umami.dialect import Answer, shown

_CONNECT_TIMEOUT_S = 10.0
# Umami closes a connection that has been idle for five to six seconds. To write at that moment makes a failure of
# which nobody knows whether the event was stored, so ours is given up before.
_KEPT_IDLE_S = 4.0
_STALE_IDLE_S = 1.0
_STALE_ANSWER_S = 1.0
_LEAST_WAIT_S = 0.001  # 0 would not wait at all, and be another error
_MAX_ANSWER = 2**20
_MAX_RETRY_AFTER_S = 3_600.0
_REDIRECTS = (307, 308)  # those that keep method and body
_MAX_REDIRECTS = 3


class NotSentError(Exception):
    """The server has not carried out the request: it may be sent again."""


class NoAnswerError(Exception):
    """The request was sent and its answer has not come: nobody knows whether the server carried it out."""


class Connection:
    """Posts to ``base_url`` with ``headers``, each answer within about ``timeout_s`` seconds.

    Used by one thread at a time; `close` may be called by another, and ends a request that waits. After a fork the
    child opens its own. Raises `MissingExtraError` where httpx is not installed.
    """

    def __init__(self, base_url: str, headers: Mapping[str, str], timeout_s: float) -> None:
        # Here and not with the first request: that may come when a program ends, and then Python refuses to import
        # modules which want to be told of that end (asyncio, which httpx imports).
        try:
            import httpx
        except ImportError as error:
            raise MissingExtraError("The umami destination", "httpx", "umami") from error
        self._httpx = httpx
        self._base_url = base_url
        self._headers = {**headers, "Content-Type": "application/json", "Accept": "application/json"}
        self._timeout_s = timeout_s
        self._client: Any = None
        self._pid = 0
        self._watch = _Watch()
        self._is_busy = False
        self.is_closed = False

    def post(self, path: str, body: bytes) -> Answer:
        """The server's answer. Raises `NotSentError` or `NoAnswerError`, each with a reason for a log."""
        url = self._base_url + path
        for _ in range(_MAX_REDIRECTS):
            answer = self._post(url, body)
            target = self._target(url, answer) if answer.status in _REDIRECTS else ""
            if not target:
                return answer
            url = target
        return answer

    def close(self) -> None:
        """End a request that waits, and close; a second call does nothing."""
        self.is_closed = True
        if self._pid != os.getpid():
            return
        if self._is_busy:
            self._watch.cut()  # whoever waits in the request closes the rest
        else:
            self._close_client()

    def _post(self, url: str, body: bytes) -> Answer:
        watch = self._watch
        self._is_busy = True
        try:
            watch.begin(self._timeout_s)
            with untraced(), _hushed():
                return self._answered(self._client_here(), url, body)
        except Exception as error:  # httpx's own, and what its parts raise (proxies, TLS, a closed client)
            raise self._classified(error) from error
        finally:
            watch.end()
            self._is_busy = False
            if self.is_closed:
                self._close_client()

    def _answered(self, client: Any, url: str, body: bytes) -> Answer:
        extensions = {"trace": self._watch}
        with client.stream("POST", url, content=body, headers=self._headers, extensions=extensions) as response:
            chunks, length = [], 0
            for chunk in response.iter_bytes():
                chunks.append(chunk)
                length += len(chunk)
                if length > _MAX_ANSWER:
                    break
            text = b"".join(chunks)[:_MAX_ANSWER].decode("utf-8", "replace")
            return Answer(
                status=response.status_code,
                text=text,
                retry_after_s=_seconds_to_wait(response.headers.get("retry-after", "")),
                location=response.headers.get("location", ""),
                ahead_s=_ahead_s(response.headers.get("date", "")),
            )

    def _classified(self, error: Exception) -> Exception:
        is_sent, reason = self._watch.is_sent, _reason(error, self._httpx)
        if self.is_closed:
            reason = "the program ended before it came"
        elif is_sent and self._watch.was_stale and not isinstance(error, self._httpx.TimeoutException):
            is_sent = False
        return NoAnswerError(reason) if is_sent else NotSentError(reason)

    def _client_here(self) -> Any:
        """This process's client. A parent's is left alone, its locks may be held; only its socket is closed."""
        if self.is_closed:
            raise NotSentError("the exporter was closed")
        if self._pid != os.getpid():
            self._watch.forget()
            self._client = self._new_client()
            self._pid = os.getpid()
        return self._client

    def _new_client(self) -> Any:
        httpx = self._httpx
        return httpx.Client(
            verify=_trust(httpx),
            timeout=httpx.Timeout(self._timeout_s, connect=min(self._timeout_s, _CONNECT_TIMEOUT_S)),
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEPT_IDLE_S),
            follow_redirects=False,
        )

    def _close_client(self) -> None:
        with (
            _hushed(),
            suppress(Exception),
        ):  # another thread may be in it still
            if self._client is not None:
                self._client.close()

    def _target(self, url: str, answer: Answer) -> str:
        """Where a redirect leads, if that is the same host: events and keys are sent to no other."""
        target = urljoin(url, answer.location) if answer.location else ""
        here, there = urlsplit(url), urlsplit(target)
        is_downgrade = here.scheme == "https" and there.scheme != "https"
        if there.hostname != here.hostname or there.scheme not in ("http", "https") or is_downgrade:
            return ""
        return target


@lru_cache(maxsize=1)
def _trust(httpx: Any) -> Any:
    """What certificates are checked against; it takes a tenth of a second to read."""
    return httpx.create_ssl_context()


class _Watch:
    """What httpx tells of a request while it goes on."""

    def __init__(self) -> None:
        self.is_sent = False
        self._is_new = False
        self._socket: Any = None
        self._began_s = self._ended_s = self._end_by_s = 0.0

    def __call__(self, event: str, details: Mapping[str, Any]) -> None:
        if event.endswith("send_request_body.complete"):
            self.is_sent = True
        elif event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._is_new = True
            self._socket = details["return_value"].get_extra_info("socket")
            self._limit(details["return_value"])

    def begin(self, timeout_s: float) -> None:
        self.is_sent = self._is_new = False
        self._began_s = time.monotonic()
        self._end_by_s = self._began_s + timeout_s

    def _limit(self, stream: Any) -> None:
        """Let the request's time be that of all reading together: httpx knows only one for each bit that comes."""
        read = stream.read

        def read_in_time(max_bytes: int, timeout: float | None = None) -> Any:
            left_s = max(_LEAST_WAIT_S, self._end_by_s - time.monotonic())
            return read(max_bytes, left_s if timeout is None else min(timeout, left_s))

        with suppress(AttributeError):  # a stream of another kind
            stream.read = read_in_time

    def end(self) -> None:
        self._ended_s = time.monotonic()

    @property
    def was_stale(self) -> bool:
        """Whether the connection had been idle and broke at once: the server had closed it and read nothing."""
        is_prompt = time.monotonic() - self._began_s < _STALE_ANSWER_S
        return not self._is_new and is_prompt and self._began_s - self._ended_s >= _STALE_IDLE_S

    def cut(self) -> None:
        """Wake whoever reads from the connection: closing it would not."""
        with suppress(OSError, TypeError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def forget(self) -> None:
        """Close the socket of a parent process here, where nobody uses it, without a word to the server."""
        with suppress(OSError):
            if self._socket is not None:
                self._socket.close()
        self._socket = None


def _reason(error: Exception, httpx: Any) -> str:
    """What happened, in words and without any url, which may hold a secret."""
    if isinstance(error, (NotSentError, NoAnswerError)):
        return str(error)
    if isinstance(error, httpx.ConnectTimeout):
        return "it could not be reached in time"
    if isinstance(error, httpx.TimeoutException):
        return "it did not answer in time"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return shown(cause.strerror[:1].lower() + cause.strerror[1:])
        cause = cause.__cause__ or cause.__context__
    return f"the connection failed ({type(error).__name__})"


def _seconds_to_wait(header: str) -> float:
    """Seconds from now, of either form of a Retry-After, at most an hour; 0 where there is none."""
    try:
        wait_s = float(header)
    except ValueError:
        until_s = _moment_s(header)
        wait_s = 0.0 if until_s is None else until_s - time.time()
    return min(wait_s, _MAX_RETRY_AFTER_S) if wait_s > 0 else 0.0  # of NaN nothing is true


def _ahead_s(date: str) -> float | None:
    """How far our clock is ahead of the server's, whose second has perhaps just ended."""
    there_s = _moment_s(date)
    return None if there_s is None else time.time() - there_s - 1.0


def _moment_s(header: str) -> float | None:
    try:
        return parsedate_to_datetime(header).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep httpx's line about every request, which it logs at INFO, out of the program's log."""
    thread = threading.get_ident()

    def is_not_ours(record: logging.LogRecord) -> bool:
        return record.thread != thread

    loggers = [logging.getLogger(name) for name in ("httpx", "httpcore.connection", "httpcore.http11")]
    for logger in loggers:
        logger.addFilter(is_not_ours)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_not_ours)
