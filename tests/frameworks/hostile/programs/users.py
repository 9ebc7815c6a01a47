"""Django with users and sessions on a real SQLite database; prints how many queries each request made."""

import json
import os
import sys
from typing import Any

sys.path.insert(0, os.environ["CALLS"])
from calls import ask_asgi, ask_wsgi
from django.conf import settings

settings.configure(
    SECRET_KEY="only for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.db"}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    LOGGING_CONFIG=None,
)
import django  # noqa: E402

django.setup()
from django.contrib.auth import get_user_model, login  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402

from otel_tracker import track  # noqa: E402


def log_in(request: Any) -> HttpResponse:
    login(request, get_user_model().objects.get(username="ann"))
    track("logged_in")
    return HttpResponse("in")


def untouched(request: Any) -> HttpResponse:
    track("untouched")
    return HttpResponse("ok")


def touched(request: Any) -> HttpResponse:
    name = str(request.user)
    track("touched")
    return HttpResponse(name)


async def atouched(request: Any) -> HttpResponse:
    name = str(await request.auser())
    track("atouched")
    return HttpResponse(name)


urlpatterns = [path("log-in", log_in), path("untouched", untouched), path("touched", touched), path("a", atouched)]
call_command("migrate", verbosity=0)
get_user_model().objects.create_user("ann", "ann@example.com", "pw", id=42)
queries: list[str] = []


def counted(execute: Any, sql: str, *rest: Any) -> Any:
    queries.append(sql)
    return execute(sql, *rest)


def main() -> None:
    wsgi, asgi = get_wsgi_application(), get_asgi_application()
    counts, cookie = {}, b""
    with connection.execute_wrapper(counted):
        for name, target in (
            ("anonymous", "/touched"),
            ("login", "/log-in"),
            ("no", "/untouched"),
            ("yes", "/touched"),
        ):
            queries.clear()
            answer = ask_wsgi(wsgi, target, [("Cookie", cookie)] if cookie else [])
            counts[name] = [answer.status, len(queries), answer.body.decode()]
            for header in answer.all_of("set-cookie"):
                cookie = header.partition(";")[0].encode()
    answer = ask_asgi(asgi, "/a", [("Cookie", cookie)])
    counts["async"] = [answer.status, 0, answer.body.decode()]
    print(json.dumps({"counts": counts, "cookie": cookie.decode()}))


if __name__ == "__main__":
    main()
