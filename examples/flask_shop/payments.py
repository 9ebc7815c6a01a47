"""Payments: what a card is charged, and the fee that the shop pays for it.

`fee_cents` has a mistake that shows with large amounts only. It is left in on purpose: a trace finds it.
"""

from __future__ import annotations

from bisect import bisect_right

from flask_shop.errors import ShopError
from otel_tracker import traced, track

# Up to 50.00 the fee is 2.9 %, up to 500.00 it is 1.9 %, up to 1500.00 it is 1.2 %.
TIERS_CENTS = (5_000, 50_000, 150_000)
FEES_PER_MILLE = (29, 19, 12)

BLOCKED_CARD = "4000000000000002"


class PaymentDeclinedError(ShopError):
    """The card's bank refused the payment."""

    status = 402


@traced(expected=PaymentDeclinedError)
def charge(amount_cents: int, card_number: str) -> int:
    """Charge the card and return what is left for the shop; raises `PaymentDeclinedError`."""
    if card_number == BLOCKED_CARD:
        track("payment.declined", amount_cents=amount_cents)
        raise PaymentDeclinedError("The card was declined.")
    return amount_cents - fee_cents(amount_cents)


@traced(capture_result=True)
def fee_cents(amount_cents: int) -> int:
    """The fee for this amount."""
    tier = bisect_right(TIERS_CENTS, amount_cents)
    return amount_cents * FEES_PER_MILLE[tier] // 1000
