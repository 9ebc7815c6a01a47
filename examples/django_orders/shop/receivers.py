"""What follows from a change: events for telemetry, mail for the customer, and a cache that knows the new stock."""

from __future__ import annotations

import logging
from typing import Any

from django.core.mail import send_mail
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from otel_tracker import traced, track
from shop import catalog
from shop.models import Order, Product
from shop.signals import order_changed

logger = logging.getLogger(__name__)


@receiver(order_changed)
def track_order(order: Order, status: str, **_: Any) -> None:
    track(f"order.{status}", order_id=order.pk, total_cents=order.total_cents)


@receiver(order_changed)
def forget_products(**_: Any) -> None:
    catalog.forget()


@receiver(order_changed)
def write_to_customer(order: Order, status: str, **_: Any) -> None:
    if order.customer.email:
        send_status(order.pk, status, order.customer.email)


@receiver([post_save, post_delete], sender=Product)
def forget_products_of_admin(**_: Any) -> None:
    catalog.forget()


@traced(hide=["address"])
def send_status(order_id: int, status: str, address: str) -> None:
    """One mail; a mail server that is down is no reason to answer that the order has failed."""
    try:
        send_mail(f"Your order {order_id}", f"It is {status}.", None, [address])
    except OSError:  # what smtplib raises, too
        logger.exception("Order %s: the mail about its status was not sent.", order_id)
