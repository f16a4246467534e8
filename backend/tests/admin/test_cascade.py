"""What goes when a row is deleted: found in the models, so that a new table need not be listed."""

from django.db import models
from django.test.utils import isolate_apps

from shop.admin.base import cascade
from shop.customers.models import RefreshToken
from shop.models import (
    Cart,
    CartItem,
    Category,
    Customer,
    Mail,
    Order,
    OrderItem,
    Payment,
    Product,
    StockCorrection,
)
from shop.orders.models import Delivery, IdempotencyKey, OrderHistory, OrderNote


def test_the_tables_of_the_shop() -> None:
    assert cascade(Customer) == {
        Order: ["customer"],
        OrderItem: ["order__customer"],
        Delivery: ["order__customer"],
        OrderHistory: ["order__customer"],
        OrderNote: ["order__customer"],
        Cart: ["customer"],
        CartItem: ["cart__customer"],
        IdempotencyKey: ["customer"],
        RefreshToken: ["customer"],
        Mail: ["customer", "order__customer"],
        Payment: ["order__customer"],
    }
    assert cascade(Product) == {CartItem: ["product"], StockCorrection: ["product"]}
    assert cascade(Order) == {
        OrderItem: ["order"],
        Delivery: ["order"],
        OrderHistory: ["order"],
        OrderNote: ["order"],
        Mail: ["order"],
        Payment: ["order"],
    }
    assert cascade(Cart) == {CartItem: ["cart"]}
    assert cascade(Category) == {}


def table(name: str, **foreign_keys: models.ForeignKey) -> type[models.Model]:
    meta = type("Meta", (), {"app_label": "shop"})
    return type(name, (models.Model,), {"__module__": __name__, "Meta": meta, **foreign_keys})


@isolate_apps("shop")
def test_a_new_table_is_found_on_every_path_to_it() -> None:
    shelf = table("Shelf", inside=models.ForeignKey("self", models.CASCADE))
    box = table("Box", shelf=models.ForeignKey(shelf, models.CASCADE))
    label = table(
        "Label", shelf=models.ForeignKey(shelf, models.CASCADE), box=models.ForeignKey(box, models.CASCADE)
    )
    loan = table("Loan", box=models.ForeignKey(box, models.RESTRICT))
    assert cascade(shelf) == {box: ["shelf"], label: ["box__shelf", "shelf"]}
    assert cascade(loan) == {}
