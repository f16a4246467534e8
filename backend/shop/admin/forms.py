"""The admin's forms, and how they deal with what others have saved meanwhile."""

# ruff: noqa: ARG002 - Django hands its hooks more than each of them needs

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget, AutocompleteSelect
from django.contrib.auth.password_validation import password_validators_help_text_html, validate_password
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.db.models import CheckConstraint, Field, Model, QuerySet, UniqueConstraint
from django.forms.formsets import (
    DELETION_FIELD_NAME,
    INITIAL_FORM_COUNT,
    TOTAL_FORM_COUNT,
    ManagementForm,
)
from django.forms.models import construct_instance
from django.utils.functional import cached_property
from django.utils.text import Truncator

from shop.catalog.models import StockCorrection
from shop.orders.models import Delivery, OrderNote

LONGEST_REASON = StockCorrection._meta.get_field("reason").max_length

MOST_IN_PAGE = 1000
"""So many lines an order or a cart may have to be changed in its page, each up to nine fields of the form."""


class PlainNumber(forms.Field):
    """A number as text: digits, perhaps with a point.

    Python would take 1_50, 1e3 and -0, Django 1.000 for a whole number; and a browser's own number input
    hands on something else than was typed: an English one makes 150 of 1,50.
    """

    pattern = re.compile(r"(?!-0+$)-?[0-9]+")
    input_mode = "numeric"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs | {"widget": forms.TextInput})

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Have telephones show their digits."""
        return {"class": "vIntegerField", "inputmode": self.input_mode}

    def to_python(self, value: Any) -> Any:
        """Return the number; raise ValidationError for a text that is not plainly one."""
        if value not in self.empty_values and not self.pattern.fullmatch(str(value).strip()):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(value)


class WholeNumberField(PlainNumber, forms.IntegerField):
    default_error_messages = {"invalid": "Enter a whole number such as 1234, with digits alone."}


class MoneyField(PlainNumber, forms.DecimalField):
    pattern = re.compile(r"(?!-[0.]+$)-?[0-9]+(\.[0-9]+)?")
    input_mode = "decimal"
    default_error_messages = {"invalid": "Enter a number such as 1234.50, with no comma."}


def rows_by_key(queryset: QuerySet, keys: Iterable[str]) -> dict[str, Model]:
    """Return the rows with these keys, each by its key as text; what cannot be a key has no row."""
    clean = set()
    for key in keys:
        with suppress(ValidationError):
            clean.add(queryset.model._meta.pk.clean(key, None))
    return {str(row.pk): row for row in queryset.filter(pk__in=clean)}


class RowChoiceField(forms.ModelChoiceField):
    """A choice of a row of another table, which a forged key does not make fail."""

    prefetched: Mapping[str, Model] | None = None
    """The rows in question by their keys, if they were fetched for many forms at once."""

    def row(self, key: str) -> Model | None:
        queryset: Any = self.queryset
        rows = rows_by_key(queryset, [key]) if self.prefetched is None else self.prefetched
        return rows.get(key)

    def to_python(self, value: Any) -> Any:
        """Return the row; raise ValidationError if there is none."""
        if value in self.empty_values:
            return None
        if row := self.row(value):
            return row
        raise ValidationError(self.error_messages["invalid_choice"], "invalid_choice", {"value": value})


class RowSelect(AutocompleteSelect):
    """A select that searches. Django's fails on a text that is no key, and makes a query for each form."""

    def optgroups(self, name: str, value: Sequence[str], attr: Any = None) -> list[Any]:
        """Return the selected option alone; the others come from the search."""
        field: RowChoiceField = self.choices.field
        options = [] if self.is_required else [self.create_option(name, "", "", False, 0)]
        if value and (row := field.row(value[0])):
            label = field.label_from_instance(row)
            options.append(self.create_option(name, row.pk, label, True, len(options)))
        return [(None, options, 0)]


def split_lines(text: str | None) -> list[str] | None:
    """Split a text to compare it: browsers send their own line ends."""
    return text if text is None else re.split("\r\n|\r|\n", text)


def first_ten(names: Sequence[str]) -> str:
    """List these names, and beyond ten how many more there are."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


class ShopForm(forms.ModelForm):
    """A form that knows what its page showed, and compares it with what is stored when it comes back.

    A field that the user left alone takes what is stored. One that both the user and somebody else changed is
    refused once, with what it is now. `data` must be mutable: it becomes what the next page shows.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.changed_by_others: set[str] = set()
        if self.is_bound:
            for name, field in self.fields.items():
                if field.show_hidden_initial:
                    self.bring_up_to_date(name, self.stored(name))

    def stored(self, name: str) -> str:
        """Return a field's stored value, or in a new row its default, as text."""
        field = self.fields[name]
        return as_text(field, self.get_initial_for_field(field, name))

    def bring_up_to_date(self, name: str, now: str) -> None:
        """Have the page show what is stored now, unless the user changed it."""
        data: Any = self.data
        html_name, html_initial_name = self.add_prefix(name), self.add_initial_prefix(name)
        initial = split_lines(data.get(html_initial_name))
        if not self.instance._state.adding:
            if split_lines(data.get(html_name)) == initial:
                data[html_name] = now
            elif initial != split_lines(now):
                self.changed_by_others.add(name)
        data[html_initial_name] = now

    def clean(self) -> dict[str, Any] | None:
        """Refuse what would overwrite a change of somebody else unseen."""
        cleaned_data = super().clean()
        for name in self.changed_data:
            if name in self.changed_by_others:
                now = Truncator(as_read(self.fields[name], self.stored(name))).chars(200)
                text = f"Somebody changed this meanwhile: it is {now} now. Save again to overwrite that."
                self.add_error(name, text)
        return cleaned_data


def as_text(field: forms.Field, value: Any) -> str:
    """Return a value as it stands in a hidden field."""
    value = field.prepare_value(value)
    return "" if value is None else str(value)


def as_read(field: forms.Field, value: str) -> str:
    """Return the value of a hidden field as people read it."""
    if isinstance(field, RowChoiceField):
        row = field.row(value)
        return field.label_from_instance(row) if row else "nothing"
    choices = dict(getattr(field, "choices", ()))
    return str(choices.get(value, value)) or "empty"


def refusing(form: type[forms.ModelForm], problem: ValidationError) -> type[forms.ModelForm]:
    """Return this form as one that is never valid, with this problem as its error."""

    class RefusingForm(form):  # type: ignore[valid-type, misc]
        def clean(self) -> Any:
            cleaned_data = super().clean()
            self.add_error(None, problem)
            return cleaned_data

    return RefusingForm


class CustomerForm(ShopForm):
    """A customer, with a field that takes a new password instead of the one that holds the hash."""

    new_password = forms.CharField(
        label="New password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=password_validators_help_text_html(),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["new_password"].required = self.instance._state.adding

    def _post_clean(self) -> None:
        """Validate the password, now that the instance has the name and address it must not resemble."""
        super()._post_clean()  # type: ignore[misc]
        try:
            if password := self.cleaned_data.get("new_password"):
                validate_password(password, self.instance)
        except ValidationError as error:
            self.add_error("new_password", error)


class ReasonField(forms.CharField):
    """Why a stock is corrected; it is no change by itself."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(label="Reason", max_length=LONGEST_REASON, required=False, **kwargs)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return False


NO_REASON = "Say why the stock is corrected."


class ProductForm(ShopForm):
    """A product, with a field for why its stock is corrected; a new one needs no reason."""

    reason = ReasonField(widget=AdminTextInputWidget, help_text="Why the stock is another, if you change it.")

    def clean(self) -> dict[str, Any] | None:
        cleaned_data = super().clean()
        is_corrected = "stock" in self.changed_data and not self.instance._state.adding
        if is_corrected and "stock" in self.cleaned_data and self.cleaned_data.get("reason") == "":
            self.add_error("reason", NO_REASON)
        return cleaned_data


HOW_IT_IS_SENT = ("carrier", "tracking_number")


def delivery_field(name: str, widget: Any = AdminTextInputWidget, **options: Any) -> Any:
    """Return the field for a column of a delivery, which may be left empty."""
    column: Any = Delivery._meta.get_field(name)
    return column.formfield(required=False, widget=widget, **options)


class NoteField(forms.CharField):
    """A text of several lines, whose ends count as one character each."""

    widget = AdminTextareaWidget

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


class OrderForm(ShopForm):
    """An order, with how its delivery is sent, and a note to be added."""

    carrier = delivery_field("carrier", show_hidden_initial=True)
    tracking_number = delivery_field("tracking_number", show_hidden_initial=True)
    note = NoteField(
        label="New note",
        max_length=OrderNote._meta.get_field("text").max_length,
        required=False,
        help_text="It is added when the page is saved. Customers never see it.",
    )

    @cached_property
    def changed_data(self) -> list[str]:
        """Leave out the note, which changes nothing of the order."""
        return [name for name in super().changed_data if name != "note"]

    def clean_note(self) -> str:
        """Refuse to note anything about who is erased."""
        note: str = self.cleaned_data["note"]
        if note and self.instance.customer.is_erased:
            raise ValidationError("This customer is erased. Nothing more is noted about the order.")
        return note

    def get_initial_for_field(self, field: forms.Field, field_name: str) -> Any:
        """Return what is stored, also of the delivery."""
        if field_name in HOW_IT_IS_SENT:
            return getattr(self.instance.delivery, field_name)
        return super().get_initial_for_field(field, field_name)


class LineForm(ShopForm):
    """A line of an order or a cart. It asks the database nothing: LineFormSet does, for all lines at once."""

    def _post_clean(self) -> None:
        """Put what was entered into the line, and validate it but for the constraints and foreign keys."""
        options: Any = self._meta
        self.instance = construct_instance(self, self.instance, options.fields, options.exclude)
        exclude = self._get_validation_exclusions()  # type: ignore[attr-defined]
        exclude |= {field.name for field in self.instance._meta.fields if field.is_relation}
        try:
            self.instance.full_clean(exclude, validate_unique=False, validate_constraints=False)
        except ValidationError as error:
            self._update_errors(error)  # type: ignore[attr-defined]


class OrderItemForm(LineForm):
    """A line of an order, which takes the product's price when none is given."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if price := self.fields.get("price_per_unit"):
            price.required = False
            price.help_text = "Left empty, it is the product's current price."

    def clean(self) -> dict[str, Any] | None:
        cleaned_data = super().clean()
        product = self.cleaned_data.get("product")
        if product and self.cleaned_data.get("price_per_unit", "invalid") is None:
            self.cleaned_data["price_per_unit"] = product.price
        return cleaned_data


Cells = dict[tuple[str, str], str]
"""The values of one form of a formset, by what precedes the prefix, "initial-" or nothing, and the name."""


def take_out_forms(data: Any, prefix: str) -> dict[int, Cells]:
    """Take the forms of a formset out of what was sent, and return them by their numbers."""
    cell = re.compile(rf"(initial-|){re.escape(prefix)}-([0-9]{{1,9}})-(\w+)")
    taken: dict[int, Cells] = {}
    for match in filter(None, map(cell.fullmatch, list(data))):
        taken.setdefault(int(match[2]), {})[match[1], match[3]] = data.pop(match[0])[-1]
    return taken


def put_in_forms(data: Any, prefix: str, of_forms: Sequence[Cells], initial: int) -> None:
    """Have these be the forms that were sent; `initial` is how many of them are rows that there are."""
    for n, cells in enumerate(of_forms):
        for (before, name), value in cells.items():
            data[f"{before}{prefix}-{n}-{name}"] = value
    data[f"{prefix}-{TOTAL_FORM_COUNT}"] = str(len(of_forms))
    data[f"{prefix}-{INITIAL_FORM_COUNT}"] = str(initial)


def check_rules(model: type[Model], changed: Sequence[forms.ModelForm]) -> None:
    """Add the messages of the CHECKs that forms break, in one query; Django makes one for each."""
    checks: list[Any] = [rule for rule in model._meta.constraints if isinstance(rule, CheckConstraint)]
    if not changed or not checks:
        return
    editor = connection.schema_editor()
    conditions = ", ".join(str(rule._get_check_sql(model, editor)) for rule in checks)
    table = connection.ops.quote_name(model._meta.db_table)
    columns = [field for field in model._meta.concrete_fields if not field.is_relation]
    rows = [{field.column: getattr(form.instance, field.attname) for field in columns} for form in changed]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {conditions.replace('%', '%%')} FROM jsonb_populate_recordset(NULL::{table}, %s)",  # noqa: S608
            [json.dumps(rows, cls=DjangoJSONEncoder)],
        )
        for form, verdicts in zip(changed, cursor.fetchall(), strict=True):
            for rule, kept in zip(checks, verdicts, strict=True):
                if kept is False:
                    form.add_error(None, str(rule.violation_error_message))


GONE = "Deleted meanwhile: {}. Save again to save the rest of this page."


class KeyedFormSet(forms.BaseModelFormSet):
    """Forms with the keys of their rows."""

    def add_fields(self, form: forms.ModelForm, index: int | None) -> None:
        """Add the key without Django's query for it."""
        super().add_fields(form, index)
        key = self.model._meta.pk.name
        form.fields[key] = forms.IntegerField(
            initial=form.instance.pk, required=False, widget=forms.HiddenInput
        )


class LineFormSet(KeyedFormSet, forms.BaseInlineFormSet):
    """The lines of an order or a cart, in a fixed number of queries whatever their number.

    `data` must be mutable: it is brought up to date with the lines that there are, which the queryset locks.
    """

    default_error_messages = {"too_many_forms": "There may be at most %(num)d lines here."}

    editable = True
    """Whether the user may change lines, and so is told of those that are gone."""

    def __init__(self, data: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(data, *args, **kwargs)
        self.gone: list[Cells] = []
        self.added: list[Model] = []
        management = ManagementForm(self.data, prefix=self.prefix)
        if self.is_bound and management.is_valid():
            numbers: Any = management.cleaned_data
            self.bring_up_to_date(numbers[INITIAL_FORM_COUNT], numbers[TOTAL_FORM_COUNT])

    def bring_up_to_date(self, initial: int, total: int) -> None:
        """Have the forms be those of the lines that there are, in their order, and then those of new ones.

        Django takes the n-th form for the n-th line, and has nothing to say of a line that is gone.
        """
        key = ("", self.model._meta.pk.name)
        sent = [
            (n, {cell: value for cell, value in cells.items() if cell[1] != self.fk.name})
            for n, cells in sorted(take_out_forms(self.data, str(self.prefix)).items())
            if n < total
        ]
        of_lines = {cells.get(key, ""): cells for n, cells in sent if n < initial or cells.get(key)}
        of_new_lines = [cells for n, cells in sent if n >= initial and not cells.get(key)]
        up_to_date = []
        for line in self.get_queryset():
            cells = of_lines.pop(str(line.pk), None)
            if cells is None:
                self.added.append(line)
                cells = self.cells_of(line)
            up_to_date.append(cells)
        self.gone = [cells for cells in of_lines.values() if ("", DELETION_FIELD_NAME) not in cells]
        put_in_forms(self.data, str(self.prefix), [*up_to_date, *of_new_lines], len(self.get_queryset()))

    def cells_of(self, line: Model) -> Cells:
        """Return the form of a line that nobody has changed, and that the page did not show."""
        cells = {("", line._meta.pk.name): str(line.pk)}
        for name, field in self.form.base_fields.items():
            column: Field = line._meta.get_field(name)  # type: ignore[assignment]
            text = as_text(field, column.value_from_object(line))
            cells |= {("", name): text, ("initial-", name): text}
        return cells

    @cached_property
    def prefetched(self) -> dict[str, dict[str, Model]]:
        """Return the rows that the forms name, for each field that is a choice of rows."""
        found = {}
        for name, field in self.form.base_fields.items():
            if isinstance(field, RowChoiceField):
                queryset: Any = field.queryset
                keys = {as_text(field, getattr(line, f"{name}_id")) for line in self.get_queryset()}
                keys |= {value for cell, value in self.data.items() if cell.endswith(f"-{name}")}
                found[name] = rows_by_key(queryset, keys)
        return found

    def add_fields(self, form: forms.ModelForm, index: int | None) -> None:
        """Hand on the prefetched rows."""
        super().add_fields(form, index)
        for name, rows in self.prefetched.items():
            form.fields[name].prefetched = rows  # type: ignore[attr-defined]

    def clean(self) -> None:
        """Say which lines others deleted or added meanwhile, and check the table's constraints."""
        problems: list[Any] = []
        if self.gone and self.editable:
            names = self.names([cells.get(("initial-", "product"), "") for cells in self.gone])
            problems.append(GONE.format(names))
        try:
            super().clean()
        except ValidationError as error:
            problems += error.error_list
            if self.added:
                names = self.names([str(line.product_id) for line in self.added])  # type: ignore[attr-defined]
                problems.append(f"Added meanwhile: {names}.")
        self.check_constraints()
        if problems:
            raise ValidationError(problems)

    def names(self, keys: Sequence[str]) -> str:
        """Name the products with these keys, ten at the most."""
        choice: Any = self.form.base_fields["product"]
        products = rows_by_key(choice.queryset, keys[:10])
        return first_ten([str(products.get(key, "a line")) for key in keys])

    def check_constraints(self) -> None:
        """Add the messages of the CHECKs that lines break."""
        lines = [form for form in self.forms if form.has_changed() and form.is_valid()]
        check_rules(self.model, [form for form in lines if not form.cleaned_data.get(DELETION_FIELD_NAME)])

    def write(self) -> None:
        """Write what was changed in the lines, after `save(commit=False)`."""
        rules = [rule for rule in self.model._meta.constraints if isinstance(rule, UniqueConstraint)]
        unique = {name for rule in rules for name in rule.fields}
        rows = self.model._base_manager
        # Two lines may swap what is unique, so all that change it are away before one of them comes back.
        moved = [line for line, changed in self.changed_objects if unique.intersection(changed)]
        rows.filter(pk__in=[line.pk for line in (*self.deleted_objects, *moved)]).delete()
        rows.bulk_create([*moved, *self.new_objects])
        others = [(line, changed) for line, changed in self.changed_objects if line not in moved]
        if others:
            columns = {name for _, changed in others for name in changed}
            rows.bulk_update([line for line, _ in others], columns)


class ProductCells(LineForm):
    """What can be changed of a product in the list."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs["aria-label"] = f"{field.label} of {self.instance}"


class CorrectionForm(forms.Form):
    """Why the stocks of a list are corrected."""

    reason = ReasonField(widget=AdminTextInputWidget)


class ProductFormSet(KeyedFormSet):
    """The products of a list, in a fixed number of queries, but for those that were changed.

    `data` must be mutable. Its forms are those of the products with their keys, whatever the list would show
    by now; what is gone is left out, and said if it was changed.
    """

    problem: ValidationError | None = None
    """Why an attempt to save them failed."""

    def __init__(self, data: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(data, *args, **kwargs)
        self.correction = CorrectionForm(data)
        self.gone: list[str] = []
        if self.is_bound and ManagementForm(self.data, prefix=self.prefix).is_valid():
            self.leave_out_what_is_gone()

    def leave_out_what_is_gone(self) -> None:
        """Keep one form for each product; Django takes the others for new ones."""
        key = ("", self.model._meta.pk.name)
        there = {str(product.pk) for product in self.get_queryset()}
        kept: dict[str, Cells] = {}
        for _, cells in sorted(take_out_forms(self.data, str(self.prefix)).items()):
            number = cells.pop(key, "")
            if number in there:
                kept.setdefault(number, cells | {key: number})
            elif any(cells.get(("initial-", name)) != cells[before, name] for before, name in cells):
                self.gone.append(f"product {number[:10]}")
        put_in_forms(self.data, str(self.prefix), list(kept.values()), len(kept))

    def clean(self) -> None:
        """Ask for a reason where a stock is another, say what is gone, and check the table's constraints."""
        changed = [form for form in self.forms if form.has_changed() and form.is_valid()]
        problems: list[Any] = [self.problem] if self.problem else []
        if not self.correction.is_valid():
            problems += self.correction.errors["reason"]
        reason = self.correction.cleaned_data.get("reason", "")
        for form in changed:
            form.cleaned_data["reason"] = reason
        if not (reason or problems) and any("stock" in form.changed_data for form in changed):
            problems.append(NO_REASON)
        if self.gone:
            problems.append(GONE.format(first_ten(self.gone)))
        check_rules(self.model, changed)
        if problems:
            raise ValidationError(problems)
