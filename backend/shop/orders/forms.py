"""What the bodies of requests about orders may hold."""

from django import forms

from shop.api.fields import JsonChoice, JsonForm, JsonMoney, JsonString
from shop.customers.forms import AddressForm
from shop.orders.models import Delivery, OrderStatus


class CheckoutForm(forms.Form):
    expected_total = JsonMoney()
    address = JsonForm(AddressForm, required=False)


class StatusForm(forms.Form):
    status = JsonChoice(OrderStatus.values)
    carrier = JsonString(max_length=Delivery._meta.get_field("carrier").max_length, required=False)
    tracking_number = JsonString(
        max_length=Delivery._meta.get_field("tracking_number").max_length, required=False
    )
