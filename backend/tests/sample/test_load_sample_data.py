"""manage.py load_sample_data: the documented examples to the letter, loaded once, nothing overwritten."""

import threading
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connection, connections
from django.db.models import F, Sum
from django.test import Client

from shop.models import Cart, CartItem, Category, Customer, Order, OrderItem, Product
from shop.sample.data import PASSWORD

HELD = "The shop holds data: nothing added (--force adds the sample beside it).\n"


def load(**options: Any) -> str:
    output = StringIO()
    call_command("load_sample_data", stdout=output, **options)
    return output.getvalue()


def everything() -> dict[str, list[Any]]:
    models = apps.get_app_config("shop").get_models()
    return {model._meta.db_table: list(model._default_manager.order_by("pk").values()) for model in models}


EXAMPLES = [
    (
        "products/",
        {
            "product_id": 1,
            "name": "Elegant Marble Gloves",
            "price": "235.99",
            "stock": 58,
            "category": "Home",
        },
    ),
    (
        "customer/1/orders/",
        {
            "order_id": 1,
            "order_date": "2025-11-26",
            "status": "completed",
            "total_amount": "910.65",
            "customer_email": "deborah.bruen@example.com",
        },
    ),
    (
        "order/1/",
        {
            "order_id": 1,
            "order_date": "2025-11-26",
            "customer_name": "Deborah Bruen",
            "product_name": "Elegant Marble Gloves",
            "quantity": 2,
            "price_per_unit": "235.99",
            "subtotal": "471.98",
        },
    ),
    (
        "bestsellers/",
        {
            "product_id": 1,
            "name": "Elegant Marble Gloves",
            "price": "235.99",
            "total_sold": 150,
            "total_revenue": "35398.50",
        },
    ),
    (
        "low-stock/",
        {
            "product_id": 3,
            "name": "Handmade Wooden Computer",
            "price": "369.35",
            "stock": 2,
            "category": "Electronics",
        },
    ),
    (
        "customer-stats/",
        {
            "customer_id": 1,
            "name": "Deborah Bruen",
            "email": "deborah.bruen@example.com",
            "total_orders": 5,
            "total_spent": "4553.25",
        },
    ),
    (
        "category-stats/",
        {"category_name": "Electronics", "product_count": 15, "total_stock": 450, "avg_price": "525.75"},
    ),
]


@pytest.mark.django_db
def test_the_examples_of_the_specification_are_answered(client: Client) -> None:
    assert load() == "Loaded 22 categories, 120 products, 100 customers, 300 orders, 50 carts.\n"
    for path, example in EXAMPLES:
        assert example in client.get(f"/shop/api/{path}").json(), path
    assert client.get("/shop/api/customer/1/cart/").json() == {
        "customer_id": 1,
        "items": [
            {
                "product_name": "Handmade Wooden Computer",
                "price": "369.35",
                "quantity": 2,
                "subtotal": "738.70",
            }
        ],
        "total": "738.70",
    }


@pytest.mark.django_db
def test_the_sample_is_consistent() -> None:
    load()
    models = (Category, Product, Customer, Order, OrderItem, Cart, CartItem)
    assert [model._default_manager.count() for model in models] == [22, 120, 100, 300, 804, 50, 115]
    sums = Order.objects.annotate(sum=Sum(F("items__quantity") * F("items__price_per_unit")))
    assert not sums.exclude(sum=F("total_amount")).exists()
    assert not sums.filter(sum=None).exists()
    assert Customer.objects.get(pk=1).check_password(PASSWORD)
    assert Customer.objects.values("password").distinct().count() == 1
    assert set(Order.objects.values_list("status", flat=True)) == {
        "pending",
        "processing",
        "shipped",
        "completed",
        "cancelled",
    }
    assert not Customer.objects.get(pk=100).orders.exists()
    assert Category.objects.create(category_name="New").pk == 23


@pytest.mark.django_db
def test_run_twice_nothing_changes_and_what_staff_changed_stays() -> None:
    load()
    Product.objects.filter(pk=1).update(price=Decimal("1.00"))
    before = everything()
    assert load() == HELD
    assert load(force=True) == "The sample data is loaded already; nothing changed.\n"
    assert everything() == before
    Customer.objects.filter(pk=1).delete()
    before = everything()
    assert load() == HELD
    with pytest.raises(CommandError, match="99 of the sample's customers are there, not all: nothing added"):
        load(force=True)
    assert everything() == before


@pytest.mark.django_db
@pytest.mark.parametrize("foreign", ["category", "customer"])
def test_foreign_data_is_left_alone(foreign: str) -> None:
    if foreign == "category":
        Category.objects.create(category_name="Home")
    else:
        Customer.objects.create(first_name="A", last_name="B", email="a@b.example", password="!")
    before = everything()
    assert load() == HELD
    assert everything() == before


@pytest.mark.django_db
def test_force_adds_the_sample_beside_foreign_data(gloves: Product, order: Order) -> None:
    Customer.objects.filter(pk=order.customer_id).update(email="another@example.com")
    load(force=True)
    assert Category.objects.count() == 22  # Home was there
    assert Product.objects.count() == 121
    assert Customer.objects.count() == 101
    assert list(order.items.values_list("product_id", "quantity")) == [(gloves.pk, 2)]
    deborah = Customer.objects.get(email="deborah.bruen@example.com")
    assert deborah.orders.aggregate(sum=Sum("total_amount")) == {"sum": Decimal("4553.25")}


@pytest.mark.slow
@pytest.mark.django_db
def test_the_ids_start_at_1_in_a_shop_that_was_emptied(client: Client) -> None:
    load()
    OrderItem.objects.all().delete()
    for model in (Customer, Product, Category):
        model._default_manager.all().delete()
    load()
    assert client.get("/shop/api/order/1/").json()[0]["subtotal"] == "471.98"


@pytest.mark.django_db
def test_a_failure_leaves_nothing_behind() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE cart_item ADD CONSTRAINT refuse CHECK (quantity > 2)")
    with pytest.raises(DatabaseError, match="refuse"):
        load()
    assert not any(everything().values())


@pytest.mark.django_db(transaction=True)
def test_two_at_once_load_it_once() -> None:
    outputs = []

    def run() -> None:
        outputs.append(load())
        connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outputs) == [
        "Loaded 22 categories, 120 products, 100 customers, 300 orders, 50 carts.\n",
        HELD,
        HELD,
        HELD,
    ]
    assert Order.objects.count() == 300
