"""Django's users: who it was is said where the application knows it, and nothing is asked for our sake."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from ..conftest import Stored
from ..work import work
from .apps import DJANGO, DJANGO_ASGI

pytestmark = pytest.mark.slow

SITES = [DJANGO, DJANGO_ASGI]


class User:
    is_authenticated, is_anonymous = True, False

    def __init__(self, pk: Any) -> None:
        self.pk = self.id = pk

    def get_username(self) -> str:
        return "ann@example.com"

    username = email = "ann@example.com"

    def __str__(self) -> str:
        raise RuntimeError("no text of a user")

    __repr__ = __str__


class AnonymousUser:
    pk = id = None
    username = ""
    is_authenticated, is_anonymous = False, True


class BrokenUser(User):
    @property
    def is_authenticated(self) -> bool:  # type: ignore[override]
        raise RuntimeError("no authentication")


class BrokenKeyUser(User):
    def __init__(self) -> None:
        pass

    @property
    def pk(self) -> Any:
        raise RuntimeError("no key")


class BrokenText:
    def __str__(self) -> str:
        raise RuntimeError("no text of a key")

    __repr__ = __str__


loads: list[Any] = []
"""What was loaded, as a database would have been asked."""
current: list[Any] = []


def user_middleware(get_response: Any) -> Any:
    """As Django's own: a lazy object, loaded by whoever looks into it first."""
    from asgiref.sync import iscoroutinefunction, markcoroutinefunction
    from django.utils.functional import SimpleLazyObject

    def load() -> Any:
        loads.append(current[0])
        if isinstance(current[0], Exception):
            raise current[0]
        return current[0]

    if iscoroutinefunction(get_response):

        async def serve_async(request: Any) -> Any:
            request.user = SimpleLazyObject(load)
            return await get_response(request)

        return markcoroutinefunction(serve_async)

    def serve(request: Any) -> Any:
        request.user = SimpleLazyObject(load)
        return get_response(request)

    return serve


user_middleware.sync_capable = user_middleware.async_capable = True  # type: ignore[attr-defined]


def untouched(request: Any) -> Any:
    from django.http import HttpResponse

    work(1)
    return HttpResponse("ok")


def touched(request: Any) -> Any:
    from django.http import HttpResponse

    request.user.is_anonymous
    work(1)
    return HttpResponse("ok")


def replaced(request: Any) -> Any:
    from django.http import HttpResponse

    request.user = User(99)  # what `login()` does
    work(1)
    return HttpResponse("ok")


def removed(request: Any) -> Any:
    from django.http import HttpResponse

    del request.user
    return HttpResponse("ok")


if DJANGO.marks[0].args[0] is False:  # it is installed
    from django.urls import path

    urlpatterns = [
        path("untouched", untouched),
        path("touched", touched),
        path("replaced", replaced),
        path("removed", removed),
    ]


@pytest.fixture(autouse=True)
def _nobody() -> Iterator[None]:
    yield
    loads.clear()
    current.clear()


def served(site: Any, user: Any, page: str, **options: Any) -> Any:
    current[:] = [user]
    with site(urls=__name__, middleware=[f"{__name__}.user_middleware"], **options) as ask:
        return ask(page, [("X-Request-ID", b"r-1")])


@pytest.mark.parametrize("site", SITES)
def test_user_that_nobody_asks_for_is_not_loaded(stored: Stored, site: Any) -> None:
    """No query for our sake, and no user said."""
    assert served(site, User(7), "/untouched").status == 200
    assert loads == []
    assert "user.id" not in stored.server.attributes


@pytest.mark.parametrize("site", SITES)
def test_user_that_the_view_asks_for_is_loaded_once_and_said(stored: Stored, site: Any) -> None:
    """At the latest on the request's own span; the number alone, nothing else of the person."""
    assert served(site, User(7), "/touched").status == 200
    assert len(loads) == 1
    assert stored.server.attributes["user.id"] == "7"
    assert "ann@example.com" not in repr([span.to_dict() for span in stored.spans])


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize(
    ("key", "said"),
    [
        pytest.param(0, "0", id="zero"),
        pytest.param(2**70, str(2**70), id="big", marks=pytest.mark.slow),
        pytest.param("ann", "ann", id="text", marks=pytest.mark.slow),
        pytest.param(uuid.UUID(int=7), str(uuid.UUID(int=7)), id="uuid"),
        pytest.param((1, "a"), None, id="composite", marks=pytest.mark.slow),
        pytest.param(None, None, id="none"),
        pytest.param(b"\xff", None, id="bytes", marks=pytest.mark.slow),
        pytest.param("x" * 10_000, None, id="long"),
        pytest.param(BrokenText(), None, id="broken"),
    ],
)
def test_keys_of_any_type_are_said_as_text_or_not_at_all(
    stored: Stored, site: Any, key: Any, said: str | None, complaints: list[str]
) -> None:
    """UUIDs, composite keys, none, endless ones, and one whose text raises, which is said once."""
    answer = served(site, User(key), "/touched")
    assert len(complaints) == isinstance(key, BrokenText)
    complaints.clear()
    assert len(stored.events) == 1
    assert (answer.status, answer.body, answer.request_id) == (200, b"ok", "r-1")
    found = stored.server.attributes.get("user.id")
    assert found is None or isinstance(found, str)
    assert found != "None"
    assert said is None or found == said
    assert len(str(found)) < 10_000


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("user", [AnonymousUser(), BrokenUser(7), None, object()], ids=lambda user: type(user).__name__)
def test_anonymous_and_broken_users_are_nobody(stored: Stored, site: Any, user: Any, complaints: list[str]) -> None:
    """And nothing of it reaches the response; no event is lost."""
    page = "/touched" if isinstance(user, (AnonymousUser, BrokenUser)) else "/untouched"
    assert served(site, user, page).status == 200
    assert "user.id" not in stored.server.attributes
    assert (stored.server.status, len(stored.events)) == ("completed", 1)
    assert len(complaints) == isinstance(user, BrokenUser)
    complaints.clear()


@pytest.mark.parametrize("site", SITES)
def test_users_that_raise_are_the_programs_alone(stored: Stored, site: Any, complaints: list[str]) -> None:
    """A key that raises, and a database that is down where nobody asks it."""
    assert served(site, BrokenKeyUser(), "/touched").status == 200
    assert served(site, RuntimeError("database down"), "/untouched").status == 200
    assert [span.attributes.get("user.id") for span in stored.servers] == [None, None]
    assert served(site, RuntimeError("database down"), "/touched").status == 500
    assert len(complaints) == 1
    complaints.clear()


@pytest.mark.parametrize("site", SITES)
def test_user_that_logs_in_is_the_one_at_the_end(stored: Stored, site: Any) -> None:
    """`login()` replaces `request.user`; an attribute that is gone is no user."""
    served(site, User(7), "/replaced")
    assert stored.servers[0].attributes["user.id"] == "99"
    assert served(site, User(7), "/removed").status == 200
    assert loads == []
