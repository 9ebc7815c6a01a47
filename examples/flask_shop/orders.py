"""Orders: read what a customer sent, take it from stock, charge the card, and remember it."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, dataclass
from typing import Any

from flask_shop import checks, payments
from flask_shop.accounts import Account
from flask_shop.database import connection
from flask_shop.errors import ConflictError, InvalidInputError, NotFoundError
from flask_shop.payments import PaymentDeclinedError
from otel_tracker import span, traced, track


class OutOfStockError(ConflictError):
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


@traced(expected=InvalidInputError)
def parse(body: Any) -> Order:
    """The order in a request's JSON: ``{"customer": ..., "card_number": ..., "items": {"<product id>": quantity}}``."""
    sent = checks.mapping(body, of="the order")
    items = checks.mapping(sent.get("items"), of="its items")
    if not items or not all(key.isdecimal() for key in items):
        raise InvalidInputError("items has to name at least one product by its number.")
    quantities = {int(key): checks.whole_number(items, key, minimum=1) for key in items}
    return Order(checks.text(sent, "customer"), quantities, checks.text(sent, "card_number", max_length=19))


@traced(capture_args=["order"], capture_result=True, expected=(ConflictError, PaymentDeclinedError))
def place(order: Order, account: Account | None = None) -> Receipt:
    """Carry the order out, or leave everything as it was."""
    # The first statement writes, so that SQLite lets nobody else write until this transaction is over.
    with connection() as transaction:
        with span("reserve stock", **{"shop.items": len(order.quantities)}):
            total_cents = sum(reserve(product_id, count) for product_id, count in order.quantities.items())
        payments.charge(total_cents, order.card_number)
        order_id = _remember(transaction, order, total_cents, account)
    receipt = Receipt(order_id, total_cents)
    track("order.placed", order_id=order_id, total_cents=total_cents, items=len(order.quantities))
    return receipt


@traced(expected=ConflictError)
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


@traced
def of_account(account: Account) -> list[dict[str, Any]]:
    """The orders that this account has placed, newest first."""
    rows = connection().execute("SELECT * FROM placed_order WHERE account = ? ORDER BY id DESC", (account.name,))
    return [dict(row) for row in rows]


@traced(expected=NotFoundError)
def find(order_id: int, account: Account) -> dict[str, Any]:
    """The order with its lines, for the account that placed it and for the staff; raises `NotFoundError`."""
    row = connection().execute("SELECT * FROM placed_order WHERE id = ?", (order_id,)).fetchone()
    if row is None or not (account.is_staff or row["account"] == account.name):
        raise NotFoundError(f"There is no order {order_id} of yours.")
    return {**row, "items": {line["product_id"]: line["quantity"] for line in _lines(order_id)}}


@traced(expected=(ConflictError, NotFoundError))
def cancel(order_id: int, account: Account) -> None:
    """Put everything back into stock; raises `ConflictError` when that was done before."""
    find(order_id, account)
    with connection() as transaction:
        cancelled = transaction.execute(
            "UPDATE placed_order SET status = 'cancelled' WHERE id = ? AND status = 'placed'", (order_id,)
        )
        if not cancelled.rowcount:
            raise ConflictError(f"Order {order_id} is cancelled already.")
        with span("return to stock"):
            returned = [(line["quantity"], line["product_id"]) for line in _lines(order_id)]
            transaction.executemany("UPDATE product SET stock = stock + ? WHERE id = ?", returned)
    track("order.cancelled", order_id=order_id)


def _remember(transaction: sqlite3.Connection, order: Order, total_cents: int, account: Account | None) -> int:
    inserted = transaction.execute(
        "INSERT INTO placed_order (customer, account, total_cents, status) VALUES (?, ?, ?, 'placed')",
        (order.customer, account.name if account else None, total_cents),
    )
    order_id = inserted.lastrowid or 0
    lines = [(order_id, product_id, quantity) for product_id, quantity in order.quantities.items()]
    transaction.executemany("INSERT INTO order_line VALUES (?, ?, ?)", lines)
    return order_id


def _lines(order_id: int) -> list[sqlite3.Row]:
    return connection().execute("SELECT * FROM order_line WHERE order_id = ?", (order_id,)).fetchall()
