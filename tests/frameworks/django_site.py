"""The site in Django, and its settings."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

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


def logged_in(request: Any) -> HttpResponse:
    work(int(request.user.pk))
    return HttpResponse("ok")


class User:
    """As much of a user as a middleware of anybody's puts on the request."""

    pk = 7
    is_authenticated = True


def user_middleware(get_response: Any) -> Any:
    from django.utils.functional import SimpleLazyObject

    def serve(request: Any) -> Any:
        request.user = SimpleLazyObject(User)
        return get_response(request)

    return serve


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
            MIDDLEWARE=[f"{__name__}.user_middleware"],
            LOGGING_CONFIG=None,
        )
        import django

        django.setup()
