"""`track`, `track_event` and `identify`: what users and the program did, as OpenTelemetry events.

An event needs no span and shares the ids of the one that is current. What goes where is for processors to decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from otel_tracker import emitting, switch
from otel_tracker.attributes import USER_ID

IDENTIFY = "identify"
"""The name of the event that says who a user is."""


class EventCategory(str, Enum):
    """Usual categories; the category of an event is its name up to the first dot, and any other is as good.

    A member is its text: ``f"{EventCategory.USER}.signed_up"`` is ``"user.signed_up"``.
    """

    USER = "user"
    GENERATION = "generation"
    PAYMENT = "payment"
    ERROR = "error"
    PERFORMANCE = "performance"
    SYSTEM = "system"

    __str__ = str.__str__
    __format__ = str.__format__  # type: ignore[assignment]


def track(event_name: str, /, **properties: Any) -> None:
    """Record one event, inside or outside a span: ``track("order.placed", order_id=42, total=9.99)``.

    Property values are bounded and redacted; any name is legal. What `set_context` and `context` say is added. Inside
    a sampled span the event carries its trace and span id. Without a logger provider nothing happens; nothing is ever
    raised or written on the caller's path.
    """
    if switch.is_on:
        emitting.emit(event_name, properties)


def track_event(event_name: str, properties: Mapping[str, Any] | None = None) -> None:
    """Record one event with its properties in a dictionary; otherwise as `track`."""
    if switch.is_on:
        emitting.emit(event_name, properties)


def identify(user_id: str, /, **traits: Any) -> None:
    """Say who a user is: an event ``identify`` with ``user.id`` and the traits, which analytics keep for the user.

    Of the request's context it has user, session, request, host and path alone: what else is known of a request is no
    trait of the user.
    """
    if switch.is_on:
        emitting.emit(IDENTIFY, {**traits, USER_ID: user_id}, is_of_user=True)
