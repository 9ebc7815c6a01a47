"""Keeps a response that is sent bit by bit in the trace of its request, where upstream has left that already.

Each step of the iterator runs in the context that was current when the response was made, or when the step before was
over, in whatever thread or task the server takes it. The request's span ends with the body: when it is exhausted,
raises, is closed, or is forgotten.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from opentelemetry.context import Context

from otel_tracker import current, request_context
from otel_tracker.frameworks.serving import Served


class InContext(Iterator[Any]):
    """The items of an iterable, each made in the context; closing it closes the iterable, or what ``close`` does."""

    def __init__(
        self, items: Iterable[Any], context: Context, served: Served, close: Callable[[], None] | None = None
    ) -> None:
        self._served = served
        self._close = getattr(items, "close", None) if close is None else close
        self._items = iter(items)
        self._context = context
        served.hold()

    def __next__(self) -> Any:
        token = current.attach(self._context)
        try:
            item = next(self._items)
        except StopIteration:
            self._leave(token)
            raise
        except BaseException as error:
            self._leave(token, error)
            raise
        self._context = current.get()  # with the spans that a generator holds open while it waits
        current.restore(token)
        return item

    def close(self) -> None:
        """Close the iterable, in the context as well: a generator's ``finally`` runs there."""
        token = current.attach(self._context)
        try:
            if self._close is not None:
                self._close()
        finally:
            self._leave(token)

    def __del__(self) -> None:
        self._served.finish()

    def _leave(self, token: Any, failure: BaseException | None = None) -> None:
        """At the end, restore what was current before, unless that was taken back inside.

        With Flask's own context a request is torn down by the end of its body, in Flask before 3.1 with the request's
        span still current around us: nothing of the request is current then.
        """
        if request_context.request_of(current.get()) is self._served:
            current.restore(token)
        self._served.finish(failure)


class AsyncInContext(AsyncIterable[Any]):
    """The same for an asynchronous iterator; Django closes it without awaiting that, or only forgets it."""

    def __init__(self, items: AsyncIterator[Any], context: Context, served: Served) -> None:
        self._served = served
        self._items = items
        self._context = context
        served.hold()

    async def __aiter__(self) -> AsyncIterator[Any]:
        # A generator, which the event loop closes when whoever iterates is gone: a client that leaves.
        try:
            while True:
                try:
                    item = await self._next()
                except StopAsyncIteration:
                    return
                yield item
        except Exception as error:
            self._served.finish(error)
            raise
        finally:
            self._served.finish()

    async def _next(self) -> Any:
        token = current.attach(self._context)
        try:
            item = await anext(self._items)
            self._context = current.get()
            return item
        finally:
            with suppress(ValueError):  # closed by another task than ran it
                current.restore(token)

    def close(self) -> None:
        """Nothing more of it is sent."""
        self._served.finish()

    def __del__(self) -> None:
        self._served.finish()
