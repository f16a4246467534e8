"""What the admins share.

A change writes only what was changed, a deletion is counted instead of listed, and no link makes a page fail.
"""

# ruff: noqa: ARG002 - Django hands its hooks more than each of them needs

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import BadRequest, ValidationError
from django.core.paginator import Page, Paginator
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import (
    CASCADE,
    Count,
    DecimalField,
    Field,
    ForeignKey,
    IntegerField,
    Model,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
)
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import ngettext

from shop.admin.forms import (
    MOST_IN_PAGE,
    LineForm,
    LineFormSet,
    MoneyField,
    RowChoiceField,
    RowSelect,
    ShopForm,
    WholeNumberField,
    refusing,
)
from shop.database.errors import is_lock_conflict
from shop.database.refusal import MissingError
from shop.orders.checkout import hold

DELETE_AT_ONCE = 500
"""How many rows can be deleted at once; each is a field of the page that asks whether one is sure."""


def number_in(text: str) -> int | None:
    """Return the number that a text is, such as 12 or #12, if it has fewer than 19 digits."""
    digits = text.strip().removeprefix("#")
    return int(digits) if digits.isdecimal() and len(digits) < 19 else None


def number_of(model: type[Model], foreign_key: str) -> Coalesce:
    """Return the number of rows that refer to the outer row: only the rows on the page are counted."""
    rows = model._default_manager.filter(**{foreign_key: OuterRef("pk")}).order_by().values(foreign_key)
    return Coalesce(Subquery(rows.annotate(number=Count("pk")).values("number")), 0)


def list_link(model: type[Model], foreign_key: str, obj: Model, number: int) -> SafeString:
    """Link to the list of the rows that refer to this object."""
    meta = model._meta
    noun = meta.verbose_name if number == 1 else meta.verbose_name_plural
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    return format_html('<a href="{}?{}__exact={}">{} {}</a>', url, foreign_key, obj.pk, number, noun)


def change_link(obj: Model) -> SafeString:
    url = reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change", args=[obj.pk])
    return format_html('<a href="{}">{}</a>', url, obj)


def cascade(
    model: type[Model], path: str = "", above: Sequence[type[Model]] = ()
) -> dict[type[Model], list[str]]:
    """Return the tables that lose rows together with this one, each with the paths from its rows to this one.

    `path` leads from this one to the table asked for, by way of the tables `above`. The rows that a table
    loses to itself, as a tree does, are not among them: no path of a certain length leads to all.
    """
    found: dict[type[Model], list[str]] = {}
    for relation in model._meta.related_objects:
        related: Any = relation.related_model
        if relation.on_delete is not CASCADE or related in (*above, model):
            continue
        to_here = f"{relation.field.name}__{path}" if path else relation.field.name
        found.setdefault(related, []).append(to_here)
        for table, paths in cascade(related, to_here, (*above, model)).items():
            found.setdefault(table, []).extend(paths)
    return found


def log_changes(request: HttpRequest, model: type[Model], changes: Mapping[int, str]) -> None:
    """Write into the log of each of these rows, by its key, what the user changed."""
    LogEntry.objects.bulk_create(
        LogEntry(
            user_id=request.user.pk,  # type: ignore[misc]
            content_type=ContentType.objects.get_for_model(model),
            object_id=key,
            object_repr=str(model(pk=key)),
            action_flag=CHANGE,
            change_message=text,
        )
        for key, text in changes.items()
    )


@contextmanager
def no_conflict(what: str = "this") -> Iterator[None]:
    """Raise ValidationError where the block meets what others have locked; `what` names it."""
    try:
        yield
    except OperationalError as error:
        if not is_lock_conflict(error):
            raise
        raise ValidationError(f"Somebody else is changing {what} at this moment. Try again.") from error


def hold_customer(customer_id: int) -> dict[str, str]:
    """Lock a customer who is to get an order or a cart, and return the address.

    Raises ValidationError if they are erased, or gone.
    """
    try:
        address, _ = hold(customer_id)
    except MissingError as error:
        raise ValidationError("This customer is erased.") from error
    return address


FASTER = "Somebody was faster: {} is {} now. Nothing was changed."


class OptimisticLocking(admin.options.BaseModelAdmin):
    """Compares a form with what its page showed, not with what the database holds when it comes back."""

    formfield_overrides = {
        DecimalField: {"form_class": MoneyField},
        IntegerField: {"form_class": WholeNumberField},
    }

    row_select: type[RowSelect] = RowSelect
    """The widget of choices of rows."""

    def formfield_for_dbfield(self, db_field: Field, request: HttpRequest, **kwargs: Any) -> Any:
        """Have the page carry each field's first value, which `changed_data` is compared with."""
        return super().formfield_for_dbfield(db_field, request, show_hidden_initial=True, **kwargs)

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        """Have choices of rows withstand forged keys."""
        if db_field.name in self.get_autocomplete_fields(request):
            kwargs |= {"form_class": RowChoiceField, "widget": self.row_select(db_field, self.admin_site)}
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class Subtotal:
    """The subtotal of a line, which its QuerySet adds to it."""

    @admin.display(ordering="subtotal")
    def subtotal(self, line: Any) -> Decimal:
        return Decimal(line.subtotal)


class LineInline(Subtotal, OptimisticLocking, admin.TabularInline):
    """The lines of an order or a cart, inside its page."""

    form = LineForm
    formset = LineFormSet
    autocomplete_fields = ("product",)
    extra = 0
    max_num = MOST_IN_PAGE

    def get_formset(self, request: HttpRequest, obj: Model | None = None, **kwargs: Any) -> Any:
        """Have the formset say when there are too many lines, and know what the user may do."""
        kwargs["validate_max"] = self.has_add_permission(request, obj)
        formset: Any = super().get_formset(request, obj, **kwargs)
        formset.editable = self.has_change_permission(request, obj)
        return formset

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Add subtotal, and fetch the products with their lines, in the order in which they were entered.

        Lines that are saved are locked: what is checked is what is written.
        """
        lines: Any = super().get_queryset(request)
        if request.method == "POST":
            lines = lines.select_for_update(of=("self",), no_key=True)
        return lines.with_subtotal().select_related("product").order_by("pk")  # type: ignore[no-any-return]


class SafeAdmin(admin.ModelAdmin):
    """An admin that neither forged values nor changes at the same moment make fail."""

    parent = ""
    """The foreign key to the row that is locked before rows of this table are."""

    def lock(self, keys: Iterable[Any] | QuerySet) -> None:
        """Have all others who would write these rows wait for the end of the transaction.

        Parents go first, as their own pages lock them first. Who adds a line is not kept waiting: a customer
        could hold what this transaction waits for, and be the one whom PostgreSQL ends.
        """
        rows = self.model._base_manager.filter(pk__in=keys)
        if self.parent:
            parents: Any = self.opts.get_field(self.parent).related_model
            parents = parents._base_manager.filter(pk__in=rows.values(self.parent)).order_by("pk")
            list(parents.select_for_update(no_key=True).values_list("pk"))
        list(rows.order_by("pk").select_for_update(no_key=True).values_list("pk"))

    def lock_to_delete(self, keys: Iterable[Any]) -> None:
        """Lock rows that are to be deleted; some need others to be locked before."""
        self.lock(keys)

    def clean_keys(self, keys: Iterable[str]) -> list[Any]:
        """Return the keys without what cannot be one."""
        clean = []
        for key in keys:
            with suppress(ValidationError):
                clean.append(self.opts.pk.clean(key, None))
        return clean

    def write(
        self,
        request: HttpRequest,
        view: Callable[[], Any],
        lock: Callable[[Iterable[Any]], None],
        keys: Iterable[str],
    ) -> Any:
        """Run a view that writes, in a transaction that locks the rows with these keys, as a URL has them.

        When others were quicker it runs once more, and finds what they did. When what it would write must not
        be, nothing is, and it runs once more with `request.problem`, which the page then says.
        """
        sent = request.POST
        clean = self.clean_keys(map(unquote, keys))

        def run() -> Any:
            request.POST = sent.copy()  # type: ignore[assignment]
            with transaction.atomic():
                if clean:
                    lock(clean)
                return view()

        problem = ValidationError("Others were changing the same at this moment. Try again.")
        for _ in range(2):
            try:
                return run()
            except ValidationError as error:
                problem = error
                break
            except IntegrityError:
                continue
            except OperationalError as error:
                if not is_lock_conflict(error):
                    raise
        request.problem = problem  # type: ignore[attr-defined]
        return run()

    def gone(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the start page, which says that there is no such row."""
        return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Take an empty `_to_field` in the address for none, as everything else of Django's does."""
        return super().get_object(request, object_id, from_field or None)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        view = partial(super().changeform_view, request, object_id, form_url, extra_context)
        if request.method != "POST":
            return view()
        return self.write(request, view, self.lock, [object_id] if object_id else [])

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> Any:
        view = partial(super().delete_view, request, object_id, extra_context)
        return (
            self.write(request, view, self.lock_to_delete, [object_id])
            if request.method == "POST"
            else view()
        )

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        """After a save that failed, return the form as one that says why."""
        form = super().get_form(request, obj, change=change, **kwargs)
        problem = getattr(request, "problem", None)
        return refusing(form, problem) if problem else form

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the rest, and check the foreign keys now: at the commit it would be too late for a message."""
        super().save_related(request, form, formsets, change)
        connection.check_constraints()

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Treat a year that Python cannot compute with as Django treats other bad values."""
        try:
            return super().get_changelist_instance(request)
        except (ValueError, OverflowError) as error:
            raise IncorrectLookupParameters from error

    def response_action(self, request: HttpRequest, queryset: QuerySet) -> Any:
        """Run the action, unless what is selected cannot be rows of this table.

        Rows to delete are locked before the list's filters are asked whether they still match.
        """
        selected = request.POST.getlist(ACTION_CHECKBOX_NAME)
        try:
            for value in selected:
                self.opts.pk.clean(value, None)
        except ValidationError as error:
            raise BadRequest(error.messages) from error
        respond = super().response_action
        if "post" not in request.POST:  # nobody has said yes yet on the page that asks
            return respond(request, queryset)
        if request.POST.get("select_across") == "1":
            selected = list(map(str, queryset.values_list("pk", flat=True)[: DELETE_AT_ONCE + 1]))

        def action() -> Any:
            # Asked once: what others commit from now on is not locked, and none of the selection.
            keys = list(queryset.filter(pk__in=selected).values_list("pk", flat=True))
            return respond(request, self.get_queryset(request).filter(pk__in=keys))

        return self.write(request, action, self.lock_to_delete, selected)


class KeysFirst(Paginator):
    """Finds the keys of a page's rows in an index, then these rows: those before are not looked at."""

    def page(self, number: int | str) -> Page:
        page = super().page(number)
        keys = list(page.object_list.values_list("pk", flat=True))  # type: ignore[attr-defined]
        page.object_list = self.object_list.filter(pk__in=keys)  # type: ignore[attr-defined]
        return page


class ShopAdmin(OptimisticLocking, SafeAdmin):
    """The admin of any table of the shop."""

    form = ShopForm
    paginator = KeysFirst
    show_full_result_count = False

    link_lookups: Sequence[str] = ()
    """What may stand in the URL of the list: what the admin's own pages link to."""

    number_field = ""
    """The column in which a search for a number looks, and in no other."""

    restrictions: Sequence[tuple[Count, str, str]] = ()
    """What keeps a row from being deleted, each with how to say so of one and of many such rows."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow the lookups of the admin's own pages; others could guess a password hash letter by letter."""
        dates = [f"{self.date_hierarchy}__{part}" for part in ("year", "month", "day")]
        return lookup in (*self.link_lookups, *dates)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, str | list[str]]:
        """Take no values for a new object from the URL, where they are not checked."""
        return {}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Find a number, such as 12 or #12, in number_field, by its index.

        Django would compare it as text, row by row.
        """
        number = number_in(search_term)
        if self.number_field and number is not None:
            return queryset.filter(**{self.number_field: number}), False
        return super().get_search_results(request, queryset, search_term)

    def changed_columns(self, form: forms.ModelForm) -> list[str]:
        return form.changed_data

    def save_model(self, request: HttpRequest, obj: Model, form: forms.ModelForm, change: bool) -> None:
        """Write what staff changed, and nothing that others changed while the page was open."""
        obj.save(update_fields=self.changed_columns(form) if change else None)

    def get_inline_instances(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Leave out lines that are too many for the page, and say so there."""
        inlines = super().get_inline_instances(request, obj)
        if not inlines or obj is None or obj.items.all()[: MOST_IN_PAGE + 1].count() <= MOST_IN_PAGE:
            return inlines
        lines = obj.items.model._meta.verbose_name_plural
        text = f"The {lines} are more than the {MOST_IN_PAGE} that fit here. They have a page of their own."
        if request.method != "POST":
            self.message_user(request, text, messages.WARNING)
        elif "items-TOTAL_FORMS" in request.POST and not hasattr(request, "problem"):
            raise ValidationError(text)  # the page had them
        return []

    def get_formset_kwargs(self, request: HttpRequest, obj: Any, inline: Any, prefix: str) -> dict[str, Any]:
        """Hand on the request's own data, not a copy: Django looks there, too."""
        kwargs: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        return kwargs | {"data": request.POST} if "data" in kwargs else kwargs

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Write what was changed in the lines."""
        formset.save(commit=False)
        formset.write()

    def get_deleted_objects(
        self, objs: Sequence[Model] | QuerySet, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Count what goes with these objects or keeps them; Django would load and list every row of it."""
        objs = list(objs[: DELETE_AT_ONCE + 1])
        plural = str(self.opts.verbose_name_plural)
        if len(objs) > DELETE_AT_ONCE:
            return [], {}, set(), [f"More than {DELETE_AT_ONCE} {plural} are selected: delete fewer at once."]
        keys = [obj.pk for obj in objs]
        counts = {plural: len(objs)}
        forbidden = set()
        for model, paths in cascade(self.model).items():
            goes = Q.create([(f"{path}__in", keys) for path in paths], Q.OR)
            if number := model._base_manager.filter(goes).count():
                counts[str(model._meta.verbose_name_plural)] = number
                # What nobody deletes by itself, such as a mail, goes with what it is about.
                asked = "delete" in model._meta.default_permissions and self.admin_site.is_registered(model)
                if asked and not self.admin_site.get_model_admin(model).has_delete_permission(request):
                    forbidden.add(str(model._meta.verbose_name))
        name = capfirst(self.opts.verbose_name)
        links: list[str] = [format_html("{}: {}", name, change_link(obj)) for obj in objs]
        problem = getattr(request, "problem", None)
        return links, counts, forbidden, problem.messages if problem else self.reasons_to_keep(objs)

    def reasons_to_keep(self, objs: Sequence[Model]) -> list[str]:
        """Return a line for each reason to keep one of these objects, in a query per kind of reason."""
        by_key = {obj.pk: obj for obj in objs}
        lines = []
        for number, one, many in self.restrictions:
            rows = self.model._default_manager.filter(pk__in=by_key).annotate(number=number)
            kept = rows.filter(number__gt=0).order_by("pk").values_list("pk", "number")
            lines += [f"{by_key[key]}: {ngettext(one, many, number) % number}" for key, number in kept]
        return lines


class LookOnly(ShopAdmin):
    """Rows that are written by the shop alone."""

    def has_add_permission(self, _: HttpRequest) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: object = None) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: object = None) -> bool:
        return False
