"""The shop's web side: what each route answers. Errors become answers in `errors`, tokens accounts in `accounts`.

Nothing here is about tracing. Requests become spans through OpenTelemetry's Flask instrumentor when the shop is
started with `otel-tracker run` or `opentelemetry-instrument`.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, request

from flask_shop import accounts, catalog, checks, database, errors, orders, reports

MAX_BODY_BYTES = 64 * 1024

shop = Blueprint("shop", __name__)


def create_app(database_path: str) -> Flask:
    """The shop, with its own SQLite database at this path (created and filled when it is not there)."""
    app = Flask("flask_shop")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    database.init_app(app, database_path)
    errors.init_app(app)
    accounts.init_app(app)
    app.register_blueprint(shop)
    return app


@shop.get("/products")
def list_products() -> dict[str, Any]:
    return {"products": [product.to_dict() for product in catalog.search(request.args.get("q", ""))]}


@shop.post("/products")
def add_product() -> tuple[dict[str, Any], int, dict[str, str]]:
    accounts.require_staff()
    body = _body("the product")
    name, price_cents = _name_and_price(body)
    product = catalog.add(name, price_cents, checks.whole_number(body, "stock", minimum=0))
    return product.to_dict(), 201, {"Location": f"/products/{product.id}"}


@shop.get("/products/<int:product_id>")
def show_product(product_id: int) -> dict[str, Any]:
    return catalog.find(product_id).to_dict()


@shop.put("/products/<int:product_id>")
def change_product(product_id: int) -> dict[str, Any]:
    accounts.require_staff()
    return catalog.change(product_id, *_name_and_price(_body("the product"))).to_dict()


@shop.post("/products/<int:product_id>/stock")
def add_stock(product_id: int) -> dict[str, Any]:
    accounts.require_staff()
    return catalog.add_stock(product_id, checks.whole_number(_body("what was delivered"), "added", minimum=1)).to_dict()


@shop.delete("/products/<int:product_id>")
def remove_product(product_id: int) -> tuple[str, int]:
    accounts.require_staff()
    catalog.remove(product_id)
    return "", 204


@shop.post("/orders")
def create_order() -> tuple[dict[str, Any], int, dict[str, str]]:
    order = orders.parse(request.get_json(silent=True))
    receipt = orders.place(order, accounts.current())
    return receipt.to_dict(), 201, {"Location": f"/orders/{receipt.order_id}"}


@shop.get("/orders")
def list_orders() -> dict[str, Any]:
    return {"orders": orders.of_account(accounts.require_account())}


@shop.get("/orders/<int:order_id>")
def show_order(order_id: int) -> dict[str, Any]:
    return orders.find(order_id, accounts.require_account())


@shop.delete("/orders/<int:order_id>")
def cancel_order(order_id: int) -> tuple[str, int]:
    orders.cancel(order_id, accounts.require_account())
    return "", 204


@shop.get("/reports/sales")
def sales_report() -> dict[str, Any]:
    return reports.sales(days=request.args.get("days", 90, type=int))


def _body(what: str) -> dict[str, Any]:
    return checks.mapping(request.get_json(silent=True), of=what)


def _name_and_price(body: dict[str, Any]) -> tuple[str, int]:
    return checks.text(body, "name"), checks.whole_number(body, "price_cents", minimum=1)
