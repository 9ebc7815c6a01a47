"""The catalogue: what the shop sells."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from flask_shop.database import connection
from otel_tracker import traced


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
    rows = connection().execute("SELECT * FROM product WHERE name LIKE ? ORDER BY id", (f"%{text}%",))
    return [Product(**row) for row in rows]


@traced(capture_result=True)
def find(product_id: int) -> Product | None:
    """The product of this id, or None."""
    row = connection().execute("SELECT * FROM product WHERE id = ?", (product_id,)).fetchone()
    return None if row is None else Product(**row)
