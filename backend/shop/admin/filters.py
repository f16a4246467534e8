"""What the list of orders is filtered by, beside the status, and what is found adds up to."""

# ruff: noqa: ARG002 - Django hands its hooks more than each of them needs

from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property

from shop.admin.base import KeysFirst, number_in
from shop.admin.forms import RowChoiceField
from shop.catalog.models import Category, Product, in_dictionary_order
from shop.database.fields import ZERO
from shop.orders.models import OrderQuerySet


class FormFilter(admin.ListFilter):
    """A filter whose values are typed, or chosen, in a form beside the list.

    The names of its fields are those in the URL. Of values that the form refuses nothing comes of, and the
    form says why: if all rows came, an action could meet some that nobody meant.
    """

    template = "admin/shop/form_filter.html"
    fields: Mapping[str, forms.Field]
    others: Mapping[str, str]
    """What else is in the URL of the list, which the form keeps."""

    def __init__(
        self, request: HttpRequest, params: dict[str, list[str]], model: Any, model_admin: Any
    ) -> None:
        super().__init__(request, params, model, model_admin)  # type: ignore[arg-type]
        self.given = {name: params.pop(name)[-1].strip() for name in self.fields if name in params}
        form = type("FilterForm", (forms.Form,), dict(self.fields))
        self.form: forms.Form = form(self.given, auto_id="filter_%s")

    def expected_parameters(self) -> list[str | None]:
        return list(self.fields)

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet:
        """Keep what the form asks for."""
        if not self.form.is_valid():
            return queryset.none()  # type: ignore[no-any-return]
        return self.keep(queryset, {name: value for name, value in self.form.cleaned_data.items() if value})

    def keep(self, orders: OrderQuerySet, asked: Mapping[str, Any]) -> QuerySet:
        """Keep what is asked for, by the names of the fields that have a value."""
        raise NotImplementedError

    def links(self) -> Mapping[str, dict[str, str]]:
        """Return what a click stands for, by its label."""
        return {}

    def said(self) -> str:
        """Return what the form shows of what was asked for, beside its fields."""
        return ""

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Yield a link to all rows, and the others."""
        others = [pair for pair in changelist.params.items() if pair[0] not in (*self.fields, PAGE_VAR)]
        self.others = dict(others)
        given = {name: value for name, value in self.given.items() if value}
        for label, values in {"All": {}, **self.links()}.items():
            yield {
                "selected": values == given,
                "query_string": changelist.get_query_string(values, remove=list(self.fields)),
                "display": label,
            }


def day_field(label: str) -> forms.DateField:
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    return forms.DateField(label=label, required=False, input_formats=["%Y-%m-%d"], widget=widget)


class DayFilter(FormFilter):
    """Keeps the orders of some days, the first and the last one included."""

    title = "day"
    fields = {"from": day_field("From"), "to": day_field("To")}

    def links(self) -> Mapping[str, dict[str, str]]:
        """Return what ends today."""
        today = timezone.localdate()
        starts = {
            "Today": today,
            "Last 7 days": today - timedelta(days=6),
            "This month": today.replace(day=1),
        }
        return {label: {"from": str(day), "to": str(today)} for label, day in starts.items()}

    def keep(self, orders: OrderQuerySet, asked: Mapping[str, Any]) -> QuerySet:
        return orders.asked_for(asked)


class ProductNumberField(RowChoiceField):
    """A product, by its number."""

    widget = forms.TextInput(attrs={"inputmode": "numeric"})
    default_error_messages = {"invalid_choice": "No product has this number."}

    def to_python(self, value: Any) -> Any:
        """Return the product; a number may stand as #12."""
        number = number_in(value or "")
        return super().to_python(value if number is None else str(number))


class ProductFilter(FormFilter):
    """Keeps the orders with a product."""

    title = "product"
    fields = {
        "product": ProductNumberField(Product.objects.all(), required=False, label="Number of a product")
    }

    def keep(self, orders: OrderQuerySet, asked: Mapping[str, Any]) -> QuerySet:
        return orders.with_product(asked["product"]) if asked else orders

    def said(self) -> str:
        """Return the name of the product."""
        return str(self.form.cleaned_data.get("product") or "")


class CategoryFilter(FormFilter):
    """Keeps the orders with a product of a category."""

    title = "category"
    fields = {
        "category": RowChoiceField(
            Category.objects.order_by(in_dictionary_order("category_name"), "pk"),
            required=False,
            label="Category",
            empty_label="Any",
            widget=forms.Select,
        )
    }

    def keep(self, orders: OrderQuerySet, asked: Mapping[str, Any]) -> QuerySet:
        return orders.with_category(asked["category"]) if asked else orders


class SummingPaginator(KeysFirst):
    """Adds up the amounts of orders in the query that counts them, unless these are all of the shop."""

    total: Decimal | None = None

    @cached_property
    def count(self) -> int:
        orders: Any = self.object_list
        # The lines of an order's history come in pages, too.
        if not isinstance(orders, OrderQuerySet) or not orders.query.where:
            return super().count
        sums = orders.order_by().aggregate(orders=Count("pk"), total=Coalesce(Sum("total_amount"), ZERO))
        self.total = sums["total"]
        return int(sums["orders"])


class PaidFilter(admin.SimpleListFilter):
    """Keeps the orders for which the shop holds money, or waits for it."""

    title = "payment"
    parameter_name = "paid"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [("yes", "Paid"), ("no", "Not paid yet")]

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet:
        """Keep the orders of the choice; a value that is no choice keeps none."""
        kept = {None: queryset.all, "yes": queryset.paid, "no": queryset.unpaid}
        return kept.get(self.value(), queryset.none)()  # type: ignore[no-any-return]
