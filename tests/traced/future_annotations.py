"""Functions whose annotations are text, as `from __future__ import annotations` makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Optional

from otel_tracker import Sensitive, traced

SHOP = "shop"


@dataclass
class Login:
    """An argument with a field that is never captured."""

    user: str
    phrase: Annotated[str, Sensitive]


@traced
def sign_in(user: str, phrase: Annotated[str, Sensitive]) -> str:
    """A parameter that is never captured."""
    return user


@traced
def sign_in_maybe(user: str, phrase: Annotated[Optional[str], Sensitive] = "tops3cret") -> str:  # noqa: UP045
    """The same with a default, and another annotation inside."""
    return user


@traced
def sign_in_with(login: Login) -> str:
    """A field of an argument that is never captured."""
    return login.user
