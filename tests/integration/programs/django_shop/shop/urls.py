import os

from django.http import HttpRequest, HttpResponse
from django.urls import path

from otel_tracker import counter, traced, track


@traced
def price(sku: str) -> str:
    track("price.asked", sku=sku)
    counter("prices.asked").add(1, sku=sku[-2:])
    return str(os.getpid())


def item(request: HttpRequest, sku: str) -> HttpResponse:
    return HttpResponse(price(sku))


urlpatterns = [path("items/<str:sku>", item)]
