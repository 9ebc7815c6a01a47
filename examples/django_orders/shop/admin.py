"""What the staff does: products and stock, and shipping what was paid."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from shop import services
from shop.errors import WrongStatusError
from shop.models import Order, OrderLine, Product


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ("name", "price_cents", "stock")
    search_fields = ("name",)


class OrderLines(admin.TabularInline):
    model = OrderLine
    extra = 0
    can_delete = False
    readonly_fields = ("product", "quantity", "price_cents")


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """Orders are looked at here; they change through `shop.services` alone."""

    list_display = ("pk", "customer", "status", "total_cents", "placed_at")
    list_filter = ("status",)
    readonly_fields = ("customer", "status", "total_cents", "placed_at")
    inlines = (OrderLines,)
    actions = ("ship",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody orders in the name of a customer."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Order | None = None) -> bool:
        """The tax office wants to see them."""
        return False

    @admin.action(description="Ship selected orders", permissions=["change"])
    def ship(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        """Ship what was paid, and say what was not."""
        for order in orders:
            try:
                services.ship(order)
            except WrongStatusError as error:
                self.message_user(request, f"{order}: {error}", messages.ERROR)
