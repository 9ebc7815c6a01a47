"""The catalogue: what the shop sells, and what the staff changes in it."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, dataclass
from typing import Any

from flask_shop.database import connection
from flask_shop.errors import ConflictError, NotFoundError
from otel_tracker import traced, track


@dataclass(frozen=True)
class Product:
    """One product; money is in cents."""

    id: int
    name: str
    price_cents: int
    stock: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@traced
def search(text: str) -> list[Product]:
    """The products whose name contains the text; all of them for an empty one."""
    rows = connection().execute("SELECT * FROM product WHERE instr(lower(name), lower(?)) ORDER BY id", (text,))
    return [Product(**row) for row in rows]


@traced(capture_result=True, expected=NotFoundError)
def find(product_id: int) -> Product:
    """The product of this id; raises `NotFoundError`."""
    row = connection().execute("SELECT * FROM product WHERE id = ?", (product_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"There is no product {product_id}.")
    return Product(**row)


@traced(expected=ConflictError)
def add(name: str, price_cents: int, stock: int) -> Product:
    """A new product; raises `ConflictError` when there is one of this name."""
    with connection() as transaction:
        values = (name, price_cents, stock)
        inserted = _write(transaction, "INSERT INTO product (name, price_cents, stock) VALUES (?, ?, ?)", values, name)
    track("product.added", product_id=inserted.lastrowid, price_cents=price_cents)
    return find(inserted.lastrowid or 0)


@traced(expected=(ConflictError, NotFoundError))
def change(product_id: int, name: str, price_cents: int) -> Product:
    """The product under another name or price; its stock is not set, because orders change it at the same time."""
    with connection() as transaction:
        values = (name, price_cents, product_id)
        changed = _write(transaction, "UPDATE product SET name = ?, price_cents = ? WHERE id = ?", values, name)
    product = find(product_id)
    if changed.rowcount:
        track("product.changed", product_id=product_id, price_cents=price_cents)
    return product


@traced(expected=NotFoundError)
def add_stock(product_id: int, quantity: int) -> Product:
    """The product with so many more in stock."""
    with connection() as transaction:
        transaction.execute("UPDATE product SET stock = stock + ? WHERE id = ?", (quantity, product_id))
    return find(product_id)


@traced(expected=(ConflictError, NotFoundError))
def remove(product_id: int) -> None:
    """Take the product out of the catalogue; raises `ConflictError` when somebody has ordered it."""
    try:
        with connection() as transaction:
            removed = transaction.execute("DELETE FROM product WHERE id = ?", (product_id,))
    except sqlite3.IntegrityError:
        raise ConflictError(f"Product {product_id} is part of orders.") from None
    if not removed.rowcount:
        raise NotFoundError(f"There is no product {product_id}.")
    track("product.removed", product_id=product_id)


def _write(transaction: sqlite3.Connection, sql: str, values: tuple[Any, ...], name: str) -> sqlite3.Cursor:
    try:
        return transaction.execute(sql, values)
    except sqlite3.IntegrityError:
        raise ConflictError(f"There is a product called {name} already.") from None
