"""Where the pages of the shop, of log-in and log-out, and of the staff are."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("django.contrib.auth.urls")),
    path("", include("shop.urls")),
]
