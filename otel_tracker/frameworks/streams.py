"""Keeps a response that is sent bit by bit in the trace of its request, where upstream has left that already.

Each step of the iterator runs in the context that was current when the response was made, in whatever thread or task
the server takes it. The request's span has ended by then; spans and events below it still know whose they are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from typing import Any

from opentelemetry.context import Context

from otel_tracker import current


class InContext(Iterator[Any]):
    """The items of an iterable, each made in the context; ``close`` closes the iterable."""

    def __init__(self, items: Iterable[Any], context: Context) -> None:
        self._close = getattr(items, "close", None)
        self._items = iter(items)
        self._context = context

    def __next__(self) -> Any:
        token = current.attach(self._context)
        try:
            return next(self._items)
        finally:
            current.restore(token)

    def close(self) -> None:
        """Close the iterable, in the context as well: a generator's ``finally`` runs there."""
        if self._close is None:
            return
        token = current.attach(self._context)
        try:
            self._close()
        finally:
            current.restore(token)


class AsyncInContext(AsyncIterator[Any]):
    """The same for an asynchronous iterator."""

    def __init__(self, items: AsyncIterator[Any], context: Context) -> None:
        self._items = items
        self._context = context

    async def __anext__(self) -> Any:
        token = current.attach(self._context)
        try:
            return await anext(self._items)
        finally:
            with suppress(ValueError):  # closed by another task than ran it
                current.restore(token)
