"""Orders: read what a customer sent, take it from stock, charge the card, and remember it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from flask_shop import payments
from flask_shop.database import connection
from otel_tracker import span, traced, track


class InvalidOrderError(ValueError):
    """What was sent is no order."""


class OutOfStockError(Exception):
    """There is less in stock than was ordered."""


@dataclass(frozen=True)
class Order:
    """What a customer wants."""

    customer: str
    quantities: dict[int, int]
    card_number: str


@dataclass(frozen=True)
class Receipt:
    """What a customer gets for it."""

    order_id: int
    total_cents: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@traced
def parse(body: Any) -> Order:
    """The order in a request's JSON: ``{"customer": ..., "card_number": ..., "items": {"<product id>": quantity}}``."""
    try:
        quantities = {int(product_id): int(quantity) for product_id, quantity in body["items"].items()}
        order = Order(str(body["customer"]), quantities, str(body["card_number"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidOrderError("An order needs customer, card_number and items.") from error
    if not quantities or min(quantities.values()) < 1:
        raise InvalidOrderError("An order needs at least one of something.")
    return order


@traced(capture_result=True)
def place(order: Order) -> Receipt:
    """Carry the order out, or leave everything as it was."""
    with connection() as transaction:
        with span("reserve stock", **{"shop.items": len(order.quantities)}):
            total_cents = sum(reserve(product_id, count) for product_id, count in order.quantities.items())
        payments.charge(total_cents, order.card_number)
        inserted = transaction.execute(
            "INSERT INTO placed_order (customer, total_cents) VALUES (?, ?)", (order.customer, total_cents)
        )
    receipt = Receipt(inserted.lastrowid or 0, total_cents)
    track("order.placed", order_id=receipt.order_id, total_cents=total_cents, items=len(order.quantities))
    return receipt


@traced
def reserve(product_id: int, quantity: int) -> int:
    """Take so many from stock and return what they cost together; raises `OutOfStockError`."""
    database = connection()
    taken = database.execute(
        "UPDATE product SET stock = stock - ? WHERE id = ? AND stock >= ?", (quantity, product_id, quantity)
    )
    if not taken.rowcount:
        raise OutOfStockError(f"There are not {quantity} of product {product_id} in stock.")
    price = database.execute("SELECT price_cents FROM product WHERE id = ?", (product_id,)).fetchone()
    return int(price["price_cents"]) * quantity
