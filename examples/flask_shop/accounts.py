"""Accounts: who asks, told by a bearer token, and what they may do.

A request without a token is a guest's. Whoever has an account is the `user.id` of everything that their request does.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, g, request

from flask_shop.database import connection, token_hash
from flask_shop.errors import ForbiddenError, UnknownTokenError
from otel_tracker import set_context, track


@dataclass(frozen=True)
class Account:
    """Somebody whom the shop knows."""

    name: str
    is_staff: bool


def init_app(app: Flask) -> None:
    """Find out who asks before each request."""
    app.before_request(_find_out_who_asks)


def current() -> Account | None:
    """The account of the request; None for a guest."""
    account: Account | None = g.get("account")
    return account


def require_account() -> Account:
    """The account of the request; raises `UnknownTokenError` for a guest."""
    account = current()
    if account is None:
        raise UnknownTokenError("This needs an account: send its token as Authorization: Bearer TOKEN.")
    return account


def require_staff() -> None:
    """Raise unless the account of the request is one of the staff's."""
    if not require_account().is_staff:
        raise ForbiddenError("Only the staff may do this.")


def _find_out_who_asks() -> None:
    if "Authorization" not in request.headers:
        return
    authorization = request.authorization
    token = authorization.token if authorization is not None and authorization.type == "bearer" else None
    account = _account_of(token or "")
    if account is None:
        track("access.refused", method=request.method)
        raise UnknownTokenError("This token is not known.")
    g.account = account
    set_context(user_id=account.name)


def _account_of(token: str) -> Account | None:
    query = "SELECT name, is_staff FROM account WHERE token_sha256 = ?"
    row = connection().execute(query, (token_hash(token),)).fetchone()
    return None if row is None else Account(row["name"], bool(row["is_staff"]))
