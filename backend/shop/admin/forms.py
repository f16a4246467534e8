"""The admin's forms, where they do more than Django's."""

# ruff: noqa: ARG002 - Django hands its hooks more than each of them needs

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.auth.password_validation import password_validators_help_text_html, validate_password
from django.core.exceptions import ValidationError

LARGEST_TOTAL = Decimal("99999999.99")
"""What total_amount can hold."""


class PlainNumber(forms.Field):
    """A number as text: digits, perhaps with a point.

    Python would take 1_50 and 1e3, Django 1.000 for a whole number; and a browser's own number input hands on
    something else than was typed: an English one makes 150 of 1,50.
    """

    pattern = re.compile(r"-?[0-9]+")
    input_mode = "numeric"

    def __init__(self, **kwargs: Any) -> None:
        """Take the place of the widget, which is none for numbers."""
        super().__init__(**kwargs | {"widget": forms.TextInput})

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Return what has a telephone show its digits."""
        return {"class": "vIntegerField", "inputmode": self.input_mode}

    def to_python(self, value: Any) -> Any:
        """Return the number; raise ValidationError for a text that is not plainly one."""
        if value not in self.empty_values and not self.pattern.fullmatch(str(value).strip()):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(value)


class WholeNumberField(PlainNumber, forms.IntegerField):
    """A whole number."""

    default_error_messages = {"invalid": "Enter a whole number such as 1234, with digits alone."}


class MoneyField(PlainNumber, forms.DecimalField):
    """An amount of money."""

    pattern = re.compile(r"-?[0-9]+(\.[0-9]+)?")
    input_mode = "decimal"
    default_error_messages = {"invalid": "Enter a number such as 1234.50, with no comma."}


class CustomerForm(forms.ModelForm):
    """A customer, with a field that takes a new password instead of the one that holds the hash."""

    new_password = forms.CharField(
        label="New password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=password_validators_help_text_html(),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Ask for the password of a new customer; a known one may keep it."""
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


class OrderItemForm(forms.ModelForm):
    """A line of an order, which takes the product's price when none is given."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Let the price be left out, and say so."""
        super().__init__(*args, **kwargs)
        if price := self.fields.get("price_per_unit"):
            price.required = False
            price.help_text = "Left empty, it is the product's current price."

    def clean(self) -> None:
        """Put the product's price where none is given."""
        super().clean()
        product = self.cleaned_data.get("product")
        if product and self.cleaned_data.get("price_per_unit", "invalid") is None:
            self.cleaned_data["price_per_unit"] = product.price


class OrderItemFormSet(forms.BaseInlineFormSet):
    """The lines of an order, which together must fit into its total."""

    def clean(self) -> None:
        """Refuse lines whose sum the order cannot store."""
        super().clean()
        lines = [form.cleaned_data for form in self.forms if form.is_valid()]
        lines = [line for line in lines if line.get("product") and not line.get("DELETE")]
        total = sum(line["quantity"] * line["price_per_unit"] for line in lines)
        if total > LARGEST_TOTAL:
            message = f"The total would be {total:,}, more than {LARGEST_TOTAL:,}."
            raise ValidationError(message)
