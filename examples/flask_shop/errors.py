"""What the shop refuses, and how: each error is a sentence for the customer and one HTTP status."""

from __future__ import annotations

from flask import Flask
from werkzeug.exceptions import HTTPException


class ShopError(Exception):
    """Something that the shop refuses; its text is the answer."""

    status = 400


class InvalidInputError(ShopError):
    """What was sent is not what was asked for."""


class UnknownTokenError(ShopError):
    """Nobody, or nobody that the shop knows."""

    status = 401


class ForbiddenError(ShopError):
    """Somebody who may not do this."""

    status = 403


class NotFoundError(ShopError):
    """There is no such thing, or it is somebody else's."""

    status = 404


class ConflictError(ShopError):
    """Not possible as things are: sold out, cancelled already, still in somebody's order."""

    status = 409


def init_app(app: Flask) -> None:
    """Answer every error in JSON, and tell nobody the text of one that is the shop's own fault."""
    app.register_error_handler(ShopError, _refuse)
    app.register_error_handler(HTTPException, _answer)


def _refuse(error: ShopError) -> tuple[dict[str, str], int, dict[str, str]]:
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    return {"error": str(error)}, error.status, headers


def _answer(error: HTTPException) -> tuple[dict[str, str], int]:
    """Flask's own errors; one that no handler knows comes as InternalServerError, after Flask has logged it."""
    return {"error": error.description or error.name}, error.code or 500
