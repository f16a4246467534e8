"""What the bodies of requests about orders may hold."""

from django import forms

from shop.api.fields import ChoiceField, MoneyField, ObjectField, TextField
from shop.customers.forms import AddressForm
from shop.orders.models import OrderStatus


class CheckoutForm(forms.Form):
    expected_total = MoneyField()
    address = ObjectField(AddressForm, required=False)


class StatusForm(forms.Form):
    status = ChoiceField(OrderStatus.values)
    carrier = TextField(max_length=50, required=False)
    tracking_number = TextField(max_length=100, required=False)
