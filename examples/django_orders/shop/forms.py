"""What customers fill in."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.validators import RegexValidator

from shop import catalog

MAX_QUANTITY = 100


class OrderForm(forms.Form):
    """A quantity for each product."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for product in catalog.products():
            label = f"{product['name']}, {product['price_cents'] / 100:.2f}, {product['stock']} in stock"
            self.fields[f"product_{product['pk']}"] = forms.IntegerField(
                label=label, required=False, min_value=0, max_value=MAX_QUANTITY
            )

    def clean(self) -> dict[str, Any]:
        """At least one of something."""
        cleaned = super().clean() or {}
        if not self.errors and not any(cleaned.values()):
            raise forms.ValidationError("Choose at least one product.")
        return cleaned

    def quantities(self) -> dict[int, int]:
        """How many of which product."""
        return {int(name.removeprefix("product_")): count for name, count in self.cleaned_data.items() if count}


class PaymentForm(forms.Form):
    """The card to charge."""

    card_number = forms.CharField(validators=[RegexValidator(r"^\d{12,19}$", "A card number has 12 to 19 digits.")])
