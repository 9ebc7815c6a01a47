"""The life of an order: everything that changes orders or stock. Views, admin and commands call these.

Each function is one transaction. Stock and status change by an UPDATE that says what has to be so, and its count tells
whether it was: no request relies on what it has read before.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import F

from otel_tracker import span, traced, track
from shop import payments
from shop.errors import OutOfStockError, PaymentDeclinedError, RefusedError, WrongStatusError
from shop.models import Order, OrderLine, Product
from shop.signals import order_changed

Status = Order.Status


@traced(capture_args=["quantities"], expected=OutOfStockError)
def place_order(customer: AbstractBaseUser, quantities: Mapping[int, int]) -> Order:
    """An order of so many of each product, which are taken from stock; all of it or nothing."""
    with transaction.atomic():
        with span("reserve stock", **{"shop.items": len(quantities)}):
            # In one order for everybody, so that on a database that locks rows no two wait for each other.
            lines = [_reserve(product_id, quantities[product_id]) for product_id in sorted(quantities)]
        total_cents = sum(line.quantity * line.price_cents for line in lines)
        order = Order.objects.create(customer=customer, total_cents=total_cents)
        for line in lines:
            line.order = order
        OrderLine.objects.bulk_create(lines)
        _announce(order)
    return order


@traced(capture_args=["card_number"], expected=RefusedError)
def pay(order: Order, card_number: str) -> None:
    """Charge the card, once however often somebody clicks; raises `WrongStatusError` or `PaymentDeclinedError`."""
    try:
        # The database waits for the provider here. If yours is slow, give such an order a status of its own.
        with transaction.atomic():
            _go_on(order, Status.PAID, after=[Status.PLACED])
            payments.charge(order.total_cents, card_number)
    except PaymentDeclinedError:
        track("payment.declined", order_id=order.pk, amount_cents=order.total_cents)
        raise


@traced(capture_args=False, expected=WrongStatusError)
def ship(order: Order) -> None:
    """Hand it to the post."""
    with transaction.atomic():
        _go_on(order, Status.SHIPPED, after=[Status.PAID])


@traced(capture_args=False, expected=WrongStatusError)
def cancel(order: Order) -> None:
    """Put everything back into stock, unless it was paid."""
    with transaction.atomic():
        _go_on(order, Status.CANCELLED, after=[Status.PLACED])
        with span("return to stock"):
            for line in order.lines.all():
                Product.objects.filter(pk=line.product_id).update(stock=F("stock") + line.quantity)


def _reserve(product_id: int, quantity: int) -> OrderLine:
    in_stock = Product.objects.filter(pk=product_id, stock__gte=quantity)
    if not in_stock.update(stock=F("stock") - quantity):
        name = Product.objects.filter(pk=product_id).values_list("name", flat=True).first()
        raise OutOfStockError(f"There are not {quantity} of {name or f'product {product_id}'} in stock.")
    price_cents = Product.objects.values_list("price_cents", flat=True).get(pk=product_id)
    return OrderLine(product_id=product_id, quantity=quantity, price_cents=price_cents)


def _go_on(order: Order, status: Status, *, after: list[Status]) -> None:
    if not Order.objects.filter(pk=order.pk, status__in=after).update(status=status):
        order.refresh_from_db(fields=["status"])
        raise WrongStatusError(f"The order is {order.status}, so it can't be {status}.")
    order.status = status
    _announce(order)


def _announce(order: Order) -> None:
    """Tell everybody who wants to know, once it is certain."""
    transaction.on_commit(partial(order_changed.send, sender=Order, order=order, status=order.status))
