"""A shop as somebody writes it who knows nothing of us: ``python shop.py flask|fastapi|django`` asks itself and ends.

Prints one JSON line an answer: status, the headers of ids, and the body.
"""

import json
import os
import sys
from typing import Any

from otel_tracker import traced, track

sys.path.insert(0, os.environ["CALLS"])
from calls import ask_asgi, ask_wsgi  # the test's own, without anything of the product

kind = sys.argv[1]
REFERER = "https://search.example/?q=shoes&access_token=secret-in-referer"


@traced
def price(sku: str) -> str:
    track("price.asked", sku=sku)
    return sku


def flask_app() -> Any:
    from flask import Flask

    app = Flask("shop")
    app.add_url_rule("/items/<sku>", "item", price)

    @app.get("/broken")
    def broken() -> str:
        raise LookupError("password=secret-in-message")

    return app


def fastapi_app() -> Any:
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    app = FastAPI(default_response_class=PlainTextResponse)
    app.get("/items/{sku}")(price)

    @app.get("/broken")
    async def broken() -> str:
        raise LookupError("password=secret-in-message")

    return app


def django_app() -> Any:
    from django.conf import settings
    from django.http import HttpResponse
    from django.urls import path

    def item(request: Any, sku: str) -> HttpResponse:
        return HttpResponse(price(sku))

    def broken(request: Any) -> HttpResponse:
        raise LookupError("password=secret-in-message")

    global urlpatterns
    urlpatterns = [path("items/<sku>", item), path("broken", broken)]
    settings.configure(
        SECRET_KEY="only for tests",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=("django.middleware.common.CommonMiddleware",),
        LOGGING_CONFIG=None,
    )
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def main() -> None:
    app = {"flask": flask_app, "fastapi": fastapi_app, "django": django_app}[kind]()
    ask = ask_asgi if kind == "fastapi" else ask_wsgi
    cookie = b"theme=dark; session=secret-in-cookie; sessionid=secret-in-cookie; csrftoken=secret-csrf"
    headers = [
        ("X-Request-ID", b"r-1"),
        ("Cookie", cookie),
        ("Authorization", b"Bearer secret-in-authorization"),
        ("Referer", REFERER.encode()),
        ("Accept-Language", b"de-AT,de;q=0.9"),
        ("User-Agent", b"Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0"),
    ]
    query = "password=secret-in-query&token=secret-in-query&page=2"
    for target in (f"/items/a1?{query}", f"/broken?{query}", "/nowhere", "/health"):
        answer = ask(app, target, headers)
        print(json.dumps([answer.status, answer.all_of("x-request-id"), answer.body.decode()[:80]]))


if __name__ == "__main__":
    main()
