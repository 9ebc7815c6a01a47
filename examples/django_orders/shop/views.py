"""The pages. What changes something is a POST, and is answered by the page that shows the result."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from shop import services
from shop.errors import RefusedError
from shop.forms import OrderForm, PaymentForm
from shop.models import Order


@require_GET
def products(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/products.html", {"form": OrderForm()})


@login_required
def orders(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return _place_order(request)
    return render(request, "shop/orders.html", {"orders": Order.objects.filter(customer=request.user)})


@login_required
@require_GET
def order(request: HttpRequest, order_id: int) -> HttpResponse:
    return _order_page(request, _own_order(request, order_id), PaymentForm())


@login_required
@require_POST
def pay(request: HttpRequest, order_id: int) -> HttpResponse:
    found, form = _own_order(request, order_id), PaymentForm(request.POST)
    if not form.is_valid():
        return _order_page(request, found, form, status=400)
    try:
        services.pay(found, form.cleaned_data["card_number"])
    except RefusedError as error:
        form.add_error(None, str(error))
        found.refresh_from_db()
        return _order_page(request, found, form, status=409)
    messages.success(request, "Thank you.")
    return redirect("order", order_id)


@login_required
@require_POST
def cancel(request: HttpRequest, order_id: int) -> HttpResponse:
    found = _own_order(request, order_id)
    try:
        services.cancel(found)
    except RefusedError as error:
        messages.error(request, str(error))
    return redirect("order", order_id)


def _place_order(request: HttpRequest) -> HttpResponse:
    form = OrderForm(request.POST)
    if not form.is_valid():
        return render(request, "shop/products.html", {"form": form}, status=400)
    try:
        placed = services.place_order(request.user, form.quantities())
    except RefusedError as error:
        form.add_error(None, str(error))
        return render(request, "shop/products.html", {"form": form}, status=409)
    return redirect("order", placed.pk)


def _own_order(request: HttpRequest, order_id: int) -> Order:
    """The order, for whoever placed it; for anybody else there is none."""
    return get_object_or_404(Order.objects.prefetch_related("lines__product"), pk=order_id, customer=request.user)


def _order_page(request: HttpRequest, shown: Order, form: PaymentForm, status: int = 200) -> HttpResponse:
    return render(request, "shop/order.html", {"order": shown, "form": form}, status=status)
