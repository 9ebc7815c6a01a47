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
            item = next(self._items)
        except BaseException:
            self._leave(token)
            raise
        self._context = current.get()  # with the spans that a generator holds open while it waits
        current.restore(token)
        return item

    def close(self) -> None:
        """Close the iterable, in the context as well: a generator's ``finally`` runs there."""
        if self._close is None:
            return
        token = current.attach(self._context)
        try:
            self._close()
        finally:
            self._leave(token)

    def _leave(self, token: Any) -> None:
        """At the end, restore what was current before, unless that was taken back inside.

        With Flask's own context a request is torn down by the end of its body, in Flask before 3.1 with the request's
        span still current around us.
        """
        if current.get() is self._context:
            current.restore(token)


class AsyncInContext(AsyncIterator[Any]):
    """The same for an asynchronous iterator."""

    def __init__(self, items: AsyncIterator[Any], context: Context) -> None:
        self._items = items
        self._context = context

    async def __anext__(self) -> Any:
        token = current.attach(self._context)
        try:
            item = await anext(self._items)
            self._context = current.get()
            return item
        finally:
            with suppress(ValueError):  # closed by another task than ran it
                current.restore(token)
