"""What the bodies of requests about carts may hold."""

from django import forms

from shop.api.fields import JsonInteger
from shop.carts.cart import MAX_QUANTITY


class QuantityForm(forms.Form):
    quantity = JsonInteger(min_value=1, max_value=MAX_QUANTITY)


class LineForm(QuantityForm):
    product_id = JsonInteger()
