"""The shop's web side: routes, and which of the shop's errors is which HTTP status.

Nothing here is about tracing. Requests become spans through OpenTelemetry's Flask instrumentor when the shop is
started with `otel-tracker run` or `opentelemetry-instrument`.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, abort, request

from flask_shop import catalog, database, orders, reports
from flask_shop.payments import PaymentDeclinedError


def create_app(database_path: str) -> Flask:
    """The shop, with its own SQLite database at this path (created and filled when it is not there)."""
    app = Flask("flask_shop")
    database.init_app(app, database_path)
    app.add_url_rule("/products", view_func=list_products)
    app.add_url_rule("/products/<int:product_id>", view_func=show_product)
    app.add_url_rule("/orders", view_func=create_order, methods=["POST"])
    app.add_url_rule("/reports/sales", view_func=sales_report)
    for error, status in ERRORS.items():
        app.register_error_handler(error, lambda raised, status=status: ({"error": str(raised)}, status))
    return app


ERRORS = {
    orders.InvalidOrderError: 400,
    PaymentDeclinedError: 402,
    orders.OutOfStockError: 409,
}


def list_products() -> dict[str, Any]:
    return {"products": [product.to_dict() for product in catalog.search(request.args.get("q", ""))]}


def show_product(product_id: int) -> dict[str, Any]:
    product = catalog.find(product_id)
    if product is None:
        abort(404, f"There is no product {product_id}.")
    return product.to_dict()


def create_order() -> tuple[dict[str, Any], int]:
    order = orders.parse(request.get_json(silent=True))
    return orders.place(order).to_dict(), 201


def sales_report() -> dict[str, Any]:
    return reports.sales(days=request.args.get("days", 90, type=int))
