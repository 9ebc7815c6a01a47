"""What the shop refuses; each text is a sentence for the customer."""


class RefusedError(Exception):
    """Something that can't be done as things are."""


class OutOfStockError(RefusedError):
    """There is less in stock than was ordered."""


class WrongStatusError(RefusedError):
    """The order has gone on in the meantime: somebody has paid, shipped or cancelled it."""


class PaymentDeclinedError(RefusedError):
    """The card's bank refused the payment."""
