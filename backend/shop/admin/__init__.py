"""The admin: all that shop staff need to see, find, change and export, a module for each subject."""

from django.contrib import admin

from shop.admin import (  # noqa: F401 (they register)
    carts,
    catalog,
    customers,
    invoices,
    jobs,
    orders,
    payments,
    transfer,
    users,
)

admin.site.site_header = "Webshop"
admin.site.site_title = "Webshop"
admin.site.index_title = "Administration"
admin.site.site_url = None  # the shop has no page of its own to view
