"""The site in Django, and its settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.utils.deprecation import MiddlewareMixin
from django.utils.functional import SimpleLazyObject

from .work import fail, lines, serve_user, work


def item(request: HttpRequest, number: int) -> HttpResponse:
    work(number)
    return HttpResponse("ok")


def raises(request: HttpRequest) -> HttpResponse:
    raise LookupError("here")


def raises_below(request: HttpRequest) -> HttpResponse:
    fail()
    return HttpResponse("never")


def missing(request: HttpRequest) -> HttpResponse:
    raise Http404("not here")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(lines())


def who(request: HttpRequest, number: int) -> HttpResponse:
    return JsonResponse(serve_user(number))


def failing_who(request: HttpRequest, number: int) -> HttpResponse:
    serve_user(number)
    raise LookupError(number)


def own_id(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok", headers={"X-Request-ID": "mine"})


async def async_item(request: HttpRequest, number: int) -> HttpResponse:
    work(number)
    return HttpResponse("ok")


async def async_stream(request: HttpRequest) -> StreamingHttpResponse:
    async def steps() -> AsyncIterator[str]:
        for line in lines():
            yield line

    return StreamingHttpResponse(steps())


def logged_in(request: Any) -> HttpResponse:
    work(int(request.user.pk))
    return HttpResponse("ok")


class User:
    """As much of a user as a middleware of anybody's puts on the request."""

    loaded = 0
    pk = 7
    is_authenticated = True

    def __init__(self) -> None:
        User.loaded += 1


class UserMiddleware(MiddlewareMixin):
    """Says who the user is when somebody asks, as Django's own does."""

    def process_request(self, request: Any) -> None:
        request.user = SimpleLazyObject(User)


urlpatterns = [
    path("items/<int:number>", item),
    path("raises", raises),
    path("raises-below", raises_below),
    path("missing", missing),
    path("stream", stream),
    path("who/<int:number>", who),
    path("failing-who/<int:number>", failing_who),
    path("own-id", own_id),
    path("logged-in", logged_in),
    path("async-items/<int:number>", async_item),
    path("async-stream", async_stream),
    path("health", item, {"number": 0}),
    path("static/app.js", item, {"number": 0}),
]


def configure_django() -> None:
    """Settings can be given once a process."""
    if not settings.configured:
        settings.configure(
            DEBUG=False,
            SECRET_KEY="only for tests",
            ALLOWED_HOSTS=["*"],
            ROOT_URLCONF=__name__,
            MIDDLEWARE=[f"{__name__}.UserMiddleware"],
            LOGGING_CONFIG=None,
        )
        import django

        django.setup()
