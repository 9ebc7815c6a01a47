"""What stands for a payment provider: two test cards are refused, one in a way that nobody has foreseen."""

from __future__ import annotations

from otel_tracker import traced
from shop.errors import PaymentDeclinedError

DECLINED_CARD = "4000000000000002"
BROKEN_CARD = "4000000000000119"


@traced(expected=PaymentDeclinedError)
def charge(amount_cents: int, card_number: str) -> None:
    """Charge the card; raises `PaymentDeclinedError`."""
    if card_number == DECLINED_CARD:
        raise PaymentDeclinedError("The card was declined.")
    if card_number == BROKEN_CARD:
        raise ConnectionError("The payment provider did not answer.")
