"""What an order's page finds by search: products with their stock, customers with what tells them apart."""

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest

from shop.admin.forms import RowSelect
from shop.catalog.models import Product
from shop.customers.models import Customer


class Search(AutocompleteJsonView):
    """Finds rows of one table as its list does, and tells more of each than its name."""

    table: type[Model]

    def process_request(self, request: HttpRequest) -> Any:
        """Search this table alone; the address names one."""
        found = super().process_request(request)  # type: ignore[misc]
        if found[1].model is not self.table:
            raise PermissionDenied
        return found


class ProductSearch(Search):
    table = Product

    def serialize_result(self, obj: Any, to_field_name: str) -> dict[str, Any]:
        """Return a product; the page's script looks at its stock."""
        result: dict[str, Any] = super().serialize_result(obj, to_field_name)  # type: ignore[misc]
        return result | {"text": f"{obj} ({obj.stock} in stock)", "stock": obj.stock}


class CustomerSearch(Search):
    table = Customer

    def serialize_result(self, obj: Any, to_field_name: str) -> dict[str, Any]:
        """Return a customer with e-mail address and town."""
        result: dict[str, Any] = super().serialize_result(obj, to_field_name)  # type: ignore[misc]
        told = [str(obj), obj.email, f"{obj.plz} {obj.ort}".strip()]
        return result | {"text": ", ".join(filter(None, told))}


class CustomerSelect(RowSelect):
    url_name = "%s:shop_order_customers"


class ProductSelect(RowSelect):
    """A select of a product, whose option has the stock."""

    url_name = "%s:shop_order_products"

    def optgroups(self, name: str, value: Sequence[str], attr: Any = None) -> list[Any]:
        """Return the selected product alone; the others come from the search."""
        groups = super().optgroups(name, value, attr)
        for option in groups[0][1]:
            if product := self.choices.field.row(str(option["value"])):
                option["attrs"]["data-stock"] = product.stock
        return groups
