"""The URLs of the project: the shop's API and the admin."""

from django.conf import settings
from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from shop.payments.pages import pay

urlpatterns = [
    path("shop/api/", include("shop.urls")),
    path("shop/pay/<slug:token>/", pay, name="pay"),
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("favicon.ico", RedirectView.as_view(url=static("shop/favicon.svg"))),
]

handler400 = "webshop.middleware.bad_request"
handler403 = "webshop.middleware.permission_denied"
handler404 = "webshop.middleware.page_not_found"
handler500 = "webshop.middleware.server_error"

if "debug_toolbar" in settings.INSTALLED_APPS:
    from debug_toolbar.toolbar import debug_toolbar_urls

    urlpatterns += debug_toolbar_urls()
