"""Products from a spreadsheet in the admin: sent, looked at, applied."""

# ruff: noqa: ARG002 - Django hands its hooks more than each of them needs

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_POST

from shop.admin.base import LookOnly
from shop.catalog.importing import MOST_LINES, apply, begin, check_again
from shop.catalog.models import Category, ImportLine, ImportStatus, Product, ProductImport
from shop.catalog.spreadsheet import COLUMNS, LARGEST_FILE

LINES_SHOWN = 100

RUNNING = (ImportStatus.CHECKING, ImportStatus.APPLYING)
RELOAD_SECONDS = 2


class Act(NamedTuple):
    """What staff can do with an import that has this status."""

    status: ImportStatus
    label: str
    run: Callable[[int], bool]
    said: str


ACTS = {
    "apply": Act(ImportStatus.READY, "Apply", apply, "It is being applied."),
    "check_again": Act(ImportStatus.REFUSED, "Check again", check_again, "It is being compared anew."),
}


class UploadForm(forms.Form):
    """The file."""

    file = forms.FileField(
        label="File",
        help_text="CSV in UTF-8, or XLSX: what “Export” gives, changed.",
        widget=forms.FileInput(attrs={"accept": ".csv,.xlsx"}),
    )

    def clean_file(self) -> UploadedFile:
        """Refuse a file that is too large to be read."""
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > LARGEST_FILE:
            message = f"It is larger than {LARGEST_FILE // 1024**2} MB."
            raise ValidationError(message)
        return file


class Change(NamedTuple):
    """A column of a product before and after, as the preview shows it."""

    column: str
    before: Any
    after: Any


class Line(NamedTuple):
    """A line of an import in its preview; a new product has no key and no name before."""

    number: int
    key: int | None
    name: str
    changes: list[Change]


def shown(lines: list[ImportLine]) -> Iterator[Line]:
    """Yield lines as the preview shows them, with the names of products and categories, by two queries."""
    keys = {key for line in lines for key in (line.category_id, line.seen_category_id) if key}
    categories = dict(Category.objects.filter(pk__in=keys).values_list("pk", "category_name"))
    named = [line.product_id for line in lines if line.product_id]
    names = dict(Product.objects.filter(pk__in=named).values_list("pk", "name"))
    for line in lines:
        changes = []
        for column in COLUMNS[1:]:
            attribute = "category_id" if column == "category" else column
            before, after = getattr(line, f"seen_{attribute}"), getattr(line, attribute)
            if after is None:
                continue
            if column == "category":
                before, after = (categories.get(key, "") for key in (before, after))
            changes.append(Change(column, before, after))
        yield Line(line.line, line.product_id, names.get(line.product_id or 0, ""), changes)


@admin.register(ProductImport)
class ProductImportAdmin(LookOnly):
    """Imports: the list of them, the page that takes a file, and the one that shows what is in it."""

    list_display = ("product_import_id", "file_name", "status", "new", "changed", "wrong", "by", "created_at")
    list_select_related = ("user",)
    list_filter = ("status",)
    link_lookups = ("status__exact",)
    ordering = ("-product_import_id",)
    actions = None

    @admin.display(description="by", ordering="user__username")
    def by(self, product_import: Any) -> str:
        return str(product_import.user or "-")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Ask for what an import does: it makes and changes products."""
        return request.user.has_perms(("shop.add_product", "shop.change_product"))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_add_permission(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request)

    def get_urls(self) -> list[Any]:
        """Add an address for each act."""
        acts = [
            path(
                f"<path:object_id>/{name}/",
                self.admin_site.admin_view(require_POST(partial(self.act, name=name))),
                name=f"shop_productimport_{name}",
            )
            for name in ACTS
        ]
        return [*acts, *super().get_urls()]

    @method_decorator(csrf_protect)
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Take a file, and lead to the page that shows what is in it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        is_sent = request.method == "POST"
        form = UploadForm(request.POST, request.FILES) if is_sent else UploadForm()
        if is_sent and form.is_valid():
            file = form.cleaned_data["file"]
            started = begin(file=file.chunks(), name=file.name, user_id=request.user.pk)  # type: ignore[arg-type]
            return self.to_page(started.pk)
        context = {
            "form": form,
            "columns": COLUMNS,
            "most_lines": MOST_LINES,
            "title": "Products from a spreadsheet",
        }
        return self.page(request, "add", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show how far an import is, and what it changes; while a job is at it the page loads itself anew."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        product_import: Any = self.get_object(request, unquote(object_id))
        if not product_import:
            return self.gone(request, object_id)
        lines: Any = product_import.lines.order_by("line")
        context = {
            "original": product_import,
            "is_running": product_import.status in RUNNING,
            "new_lines": list(shown(list(lines.filter(product_id=None)[:LINES_SHOWN]))),
            "changed_lines": list(shown(list(lines.exclude(product_id=None)[:LINES_SHOWN]))),
            "lines_shown": LINES_SHOWN,
            "buttons": [
                (act.label, reverse(f"admin:shop_productimport_{name}", args=[product_import.pk]))
                for name, act in ACTS.items()
                if act.status == product_import.status
            ],
            "title": f"{product_import}: {product_import.file_name}",
        }
        response = self.page(request, "change", context)
        if context["is_running"]:
            response.headers["Refresh"] = str(RELOAD_SECONDS)
        return response

    def page(self, request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        common = {**self.admin_site.each_context(request), "opts": self.opts}
        template = f"admin/shop/productimport/{name}.html"
        return TemplateResponse(request, template, common | context)

    def to_page(self, key: int) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:shop_productimport_change", args=[key]))

    def act(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Apply an import, or have it checked again, unless somebody was faster."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        product_import: Any = self.get_object(request, unquote(object_id))
        if not product_import:
            return self.gone(request, object_id)
        act = ACTS[name]
        if act.run(product_import.pk):
            self.log_change(request, product_import, f"{act.label}.")
            self.message_user(request, act.said, messages.SUCCESS)
        else:
            product_import.refresh_from_db(fields=["status"])
            text = (
                f"Somebody was faster: {product_import} is {product_import.get_status_display().lower()} now."
            )
            self.message_user(request, text, messages.WARNING)
        return self.to_page(product_import.pk)
