"""Says whose request it is, for every span and event of it. Events know it from here on, not only at the end."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from otel_tracker import set_context


def say_who_asks(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Stands behind the middleware that knows the session's user."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            set_context(user_id=request.user.get_username())
        return get_response(request)

    return middleware
