"""The hostile pages in Django, with synchronous and asynchronous views."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified, HttpResponseRedirect, StreamingHttpResponse
from django.urls import include, path

from ..work import work
from .apps import BrokenError, SoldError, breaking_lines, fresh, in_pool, lines


def raising(error: Exception) -> Any:
    def page(request: HttpRequest) -> HttpResponse:
        raise fresh(error)

    return page


def ok(request: HttpRequest, number: int = 0) -> HttpResponse:
    work(number)
    return HttpResponse(f"ok {number}")


def pool(request: HttpRequest, number: int) -> HttpResponse:
    in_pool(number)
    return HttpResponse("ok")


async def async_ok(request: HttpRequest, number: int) -> HttpResponse:
    await asyncio.sleep(0)
    work(number)
    return HttpResponse(f"ok {number}")


async def async_pool(request: HttpRequest, number: int) -> HttpResponse:
    await sync_to_async(work)(number)
    return HttpResponse("ok")


async def async_raises(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    raise LookupError("here")


def stream(request: Any) -> StreamingHttpResponse:
    return StreamingHttpResponse(async_lines() if hasattr(request, "scope") else lines())


async def async_lines() -> AsyncIterator[bytes]:
    yield b"a"
    await asyncio.sleep(0)
    work(1)
    yield b"b"


def stream_raises(request: Any) -> StreamingHttpResponse:
    return StreamingHttpResponse(async_breaking_lines() if hasattr(request, "scope") else breaking_lines())


async def async_breaking_lines() -> AsyncIterator[bytes]:
    yield b"a"
    raise LookupError("late")


def many(request: HttpRequest) -> HttpResponse:
    made = HttpResponse(b"\x00\xff\r\n", status=299, headers={"X-Odd": "cafe"})
    made.set_cookie("a", "1")
    made.set_cookie("b", "2")
    return made


class BreakingResponse(HttpResponse):
    def close(self) -> None:
        super().close()
        raise LookupError("teardown")


def middleware(get_response: Any) -> Any:
    """Both sorts of middleware in one, as Django's own are."""
    if iscoroutinefunction(get_response):
        return markcoroutinefunction(_AsyncMiddleware(get_response))
    return _Middleware(get_response)


middleware.sync_capable = middleware.async_capable = True  # type: ignore[attr-defined]


class _Middleware:
    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        if request.path == "/middleware-raises":
            raise LookupError("middleware")
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, SoldError):
            return HttpResponse("sold", status=409)
        if isinstance(error, BrokenError):
            return HttpResponse("broken", status=503)
        return None


class _AsyncMiddleware(_Middleware):
    async def __call__(self, request: HttpRequest) -> Any:
        if request.path == "/middleware-raises":
            raise LookupError("middleware")
        return await self.get_response(request)


urlpatterns = [
    path("ok/<int:number>", ok),
    path("async-ok/<int:number>", async_ok),
    path("pool/<int:number>", pool),
    path("async-pool/<int:number>", async_pool),
    path("async-raises", async_raises),
    path("redirect", lambda request: HttpResponseRedirect("/ok/1")),
    path("refused", raising(PermissionDenied())),
    path("raises", raising(LookupError("here"))),
    path("answered", raising(SoldError())),
    path("broken-page", raising(BrokenError("page"))),
    path("stream", stream),
    path("stream-raises", stream_raises),
    path("many", many),
    path("empty", lambda request: HttpResponse(status=204)),
    path("own-id", lambda request: HttpResponse("ok", headers={"X-Request-ID": "mine"})),
    path("middleware-raises", lambda request: HttpResponse("never")),
    path("teardown-raises", lambda request: BreakingResponse("ok")),
    path("health", ok),
    path("no-signal", lambda request: HttpResponseNotModified()),
    path("echo", lambda request: HttpResponse(request.body)),
    path("nested/", include([path("deeper/<int:number>", ok)])),
]
