"""Categories and products in the admin."""

# ruff: noqa: ARG002 - Django hands its hooks more than each of them needs

from collections.abc import Iterable
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import display_for_value
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from shop.admin.base import ShopAdmin, list_link, number_in, number_of
from shop.admin.csv_export import csv_response
from shop.admin.forms import ProductCells, ProductForm, ProductFormSet
from shop.admin.xlsx_export import xlsx_response
from shop.carts.models import CartItem
from shop.catalog import stock
from shop.catalog.models import LOW_STOCK, Category, Product
from shop.catalog.search import LONGEST, keys_of

EXPORTED = {name: name for name in ("product_id", "name", "description", "price", "stock")} | {
    "category": "category__category_name"
}
"""The columns of an export, which an import takes."""


@admin.register(Category)
class CategoryAdmin(ShopAdmin):
    """Categories, each with a link to its products."""

    list_display = ("category_name", "its_products")
    search_fields = ("category_name",)
    ordering = ("category_name", "category_id")
    restrictions = ((Count("products"), "has %d product", "has %d products"),)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Add number_of_products."""
        categories: QuerySet = (
            super().get_queryset(request).annotate(number_of_products=number_of(Product, "category"))
        )
        return categories

    @admin.display(description="products", ordering="number_of_products")
    def its_products(self, category: Any) -> SafeString:
        """Link to the category's products."""
        return list_link(Product, "category", category, category.number_of_products)


class StockFilter(admin.SimpleListFilter):
    """Keeps the products that are sold out, low on stock, or neither."""

    title = "stock"
    parameter_name = "stock"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """Return the choices."""
        return [
            ("sold_out", "Sold out"),
            ("low", f"Low (1 to {LOW_STOCK - 1})"),
            ("fine", f"Fine ({LOW_STOCK} or more)"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Keep the products of the choice; a value that is no choice keeps none."""
        conditions = {
            None: Q(),
            "sold_out": Q(stock=0),
            "low": Q(stock__range=(1, LOW_STOCK - 1)),
            "fine": Q(stock__gte=LOW_STOCK),
        }
        condition = conditions.get(self.value())
        return queryset.none() if condition is None else queryset.filter(condition)


LAST_CORRECTIONS = 10


@admin.register(Product)
class ProductAdmin(ShopAdmin):
    """The products of the catalog."""

    form = ProductForm
    readonly_fields = ("its_orders", "its_corrections")
    list_display = ("product_id", "name", "category", "price", "stock")
    list_display_links = ("product_id", "name")
    list_editable = ("price", "stock")
    list_per_page = 50  # each row is a form, which takes a browser its time
    list_filter = (StockFilter,)
    link_lookups = ("stock", "category__exact")
    search_fields = ("name",)
    search_help_text = "The number of a product, or words of its name, its description or its category"
    autocomplete_fields = ("category",)
    ordering = ("product_id",)
    actions = ("export", "export_xlsx")
    restrictions = ((Count("order_items"), "part of %d order line", "part of %d order lines"),)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Fetch the category, whose name the list shows."""
        return super().get_queryset(request).select_related("category")

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Have the cells of the list know what the page showed."""
        return super().get_changelist_form(request, form=ProductCells, **kwargs)

    def get_changelist_formset(self, request: HttpRequest, **kwargs: Any) -> Any:
        """After a save that failed, return what says why."""
        formset: Any = super().get_changelist_formset(request, formset=ProductFormSet, **kwargs)
        formset.problem = getattr(request, "problem", None)
        return formset

    def _get_list_editable_queryset(self, request: HttpRequest, prefix: str) -> QuerySet:
        """Return the products whose cells were sent; Django's fails on a key that no column can hold."""
        keys = self.clean_keys(self._get_edited_object_pks(request, prefix))
        return self.get_queryset(request).filter(pk__in=keys)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Save the cells of the list; of those that are refused show the rows that were sent.

        Sorted and filtered anew, the list may have others by now.
        """
        view = partial(super().changelist_view, request, extra_context)
        if request.method != "POST" or "_save" not in request.POST:
            return view()
        keys = self._get_edited_object_pks(request, "form")
        response = self.write(request, view, self.lock, keys)
        changelist: Any = isinstance(response, TemplateResponse) and (response.context_data or {})["cl"]
        if changelist and changelist.formset:  # a list to choose from has none
            changelist.result_list = [form.instance for form in changelist.formset]
        return response

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Find a product by its number, and what customers find by these words."""
        words = search_term.strip()[:LONGEST]
        if not words:
            return queryset, False
        return queryset.filter(pk__in=keys_of(words, number_in(words))), False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Ask for a reason where a stock can be corrected, and lead to the orders for who may see them."""
        may_change = obj and self.has_change_permission(request, obj)
        reason = ("reason",) if may_change else ()
        orders = ("its_orders",) if obj and request.user.has_perm("shop.view_order") else ()
        corrections = ("its_corrections",) if obj else ()
        return ("name", "category", "price", "stock", *reason, *corrections, "description", *orders)

    @admin.display(description="orders")
    def its_orders(self, product: Any) -> SafeString:
        """Link to the orders with this product."""
        url = reverse("admin:shop_order_changelist")
        return format_html('<a href="{}?product={}">Orders with this product</a>', url, product.pk)

    @admin.display(description="last corrections")
    def its_corrections(self, product: Any) -> str:
        """Return a line for each of the last corrections of the stock, the newest first."""
        lines = [
            f"{display_for_value(row.at, '')}: {row.before} → {row.after}, by {row.username}: {row.reason}"
            for row in product.corrections.order_by("-pk")[:LAST_CORRECTIONS]
        ]
        return "\n".join(lines) or "-"

    def changed_columns(self, form: Any) -> list[str]:
        """Leave out the stock, which is corrected."""
        return [name for name in form.changed_data if name != "stock"]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save the product, and keep why its stock is corrected."""
        super().save_model(request, obj, form, change)
        if change and "stock" in form.changed_data:
            stock.correct(
                product_id=obj.pk,
                before=form.initial["stock"],
                after=obj.stock,
                reason=form.cleaned_data["reason"],
                username=request.user.get_username(),
            )

    def lock_to_delete(self, keys: Iterable[Any] | QuerySet) -> None:
        """Lock the lines of carts before the products, as a checkout does."""
        lines = CartItem.objects.filter(product__in=keys).order_by("pk")
        list(lines.select_for_update(no_key=True).values_list("pk"))
        self.lock(keys)

    @admin.action(permissions=["view"], description="Export selected %(verbose_name_plural)s as CSV")
    def export(self, request: HttpRequest, queryset: QuerySet) -> StreamingHttpResponse:
        """Answer with the selected products as a CSV file."""
        return csv_response("products", queryset, EXPORTED)

    @admin.action(permissions=["view"], description="Export selected %(verbose_name_plural)s as XLSX")
    def export_xlsx(self, request: HttpRequest, queryset: QuerySet) -> StreamingHttpResponse | None:
        """Answer with the selected products as an XLSX file, if they are not too many."""
        return xlsx_response(self, request, "products", queryset, EXPORTED)
