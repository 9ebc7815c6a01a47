"""What the shop tells anybody who wants to know."""

from django.dispatch import Signal

# With ``order`` and ``status``, after the transaction that changed it.
order_changed = Signal()
