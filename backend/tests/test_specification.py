"""The ORM examples of the specification run as printed, in the shell of `manage.py shell`."""

import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command

from shop.models import Cart, CartItem, Category, Customer, Order, OrderItem, Product

pytestmark = pytest.mark.django_db


@pytest.fixture
def shell(sample_data: None) -> dict[str, Any]:
    """The names that `manage.py shell` imports by itself, over the sample data."""
    return {model.__name__: model for model in apps.get_models()}


def run(shell: dict[str, Any], code: str) -> None:
    exec(code, shell)


def test_basic_queries(shell: dict[str, Any]) -> None:
    run(
        shell,
        """
from shop.models import Product, Customer, Order

# Get all products
products = Product.objects.all()

# Filter products
electronics = Product.objects.filter(category__category_name='Electronics')
expensive = Product.objects.filter(price__gte=500)

# Get with related data (JOIN)
products = Product.objects.select_related('category').all()

# Get single object
product = Product.objects.get(product_id=1)
""",
    )
    assert len(shell["products"]) == 120
    assert len(shell["electronics"]) == 15
    assert len(shell["expensive"]) == 12
    assert shell["product"].name == "Elegant Marble Gloves"


def test_relationships(shell: dict[str, Any]) -> None:
    run(
        shell,
        """
# Get customer's orders (1:n)
customer = Customer.objects.get(customer_id=1)
orders = customer.orders.all()

# Get order items (reverse FK)
order = Order.objects.get(order_id=1)
items = order.items.select_related('product').all()

# Get products in category (reverse FK)
category = Category.objects.get(category_name='Electronics')
products = category.products.all()
""",
    )
    assert len(shell["orders"]) == 5
    assert [(item.quantity, item.product.name) for item in shell["items"]] == [
        (2, "Elegant Marble Gloves"),
        (1, "Rustic Oak Bench"),
    ]
    assert len(shell["products"]) == 15
    assert shell["customer"].cart.items.get().product.cart_items.count() > 0


def test_aggregations(shell: dict[str, Any]) -> None:
    run(
        shell,
        """
from django.db.models import Sum, Count, Avg, F

# Total revenue per product
revenues = Product.objects.annotate(
    revenue=Sum(F('order_items__quantity') * F('order_items__price_per_unit'))
)

# Customer order statistics
customers = Customer.objects.annotate(
    order_count=Count('orders'),
    total_spent=Sum('orders__total_amount')
).order_by('-total_spent')

# Category summary
categories = Category.objects.annotate(
    product_count=Count('products'),
    avg_price=Avg('products__price')
)
""",
    )
    assert shell["revenues"].get(product_id=1).revenue == Decimal("35398.50")
    deborah = shell["customers"].get(customer_id=1)
    assert (deborah.order_count, deborah.total_spent) == (5, Decimal("4553.25"))
    electronics = shell["categories"].get(category_name="Electronics")
    assert (electronics.product_count, electronics.avg_price) == (15, Decimal("525.75"))


def test_complex_queries(shell: dict[str, Any]) -> None:
    run(
        shell,
        """
from django.db.models import Q, Sum
from datetime import datetime, timedelta

# OR condition
scarce_or_expensive = Product.objects.filter(Q(stock__lt=10) | Q(price__gt=1000))

# Recent orders
recent = Order.objects.filter(
    order_date__gte=datetime.now().date() - timedelta(days=30)
)

# Products never ordered
never_ordered = Product.objects.filter(order_items__isnull=True)

# Customers who spent > $500
big_spenders = Customer.objects.annotate(
    total=Sum('orders__total_amount')
).filter(total__gt=500)
""",
    )
    assert len(shell["scarce_or_expensive"]) == Product.objects.filter(stock__lt=10).count() == 16
    Order.objects.filter(pk=7).update(order_date=datetime.datetime.now().date())
    assert [order.pk for order in shell["recent"]] == [7]
    Product.objects.create(name="New", price=1, category_id=1)
    assert [product.name for product in shell["never_ordered"]] == ["New"]
    spenders = {customer.pk: customer.total for customer in shell["big_spenders"]}
    assert spenders[1] == Decimal("4553.25")
    assert min(spenders.values()) > 500


def test_creating_and_updating(shell: dict[str, Any]) -> None:
    run(
        shell,
        """
from django.db.models import F

# Create customer
customer = Customer.objects.create(
    first_name='John',
    last_name='Doe',
    email='john@example.com',
    password='hashed_password'
)

# Update product
product = Product.objects.get(product_id=1)
product.stock = 100
product.save()

# Bulk update
Product.objects.filter(category__category_name='Electronics').update(
    stock=F('stock') + 10
)
""",
    )
    assert str(Customer.objects.get(email="john@example.com")) == "John Doe"
    assert Product.objects.get(pk=1).stock == 100
    assert Product.objects.get(pk=3).stock == 12


def test_transactions(shell: dict[str, Any]) -> None:
    cart = Cart.objects.get(customer_id=1)
    shell |= {"customer": cart.customer, "cart": cart, "cart_items": list(cart.items.all())}
    run(
        shell,
        """
from django.db import transaction

with transaction.atomic():
    # Create order
    order = Order.objects.create(customer=customer, total_amount=0)

    # Add items
    for item in cart_items:
        OrderItem.objects.create(
            order=order,
            product=item.product,
            quantity=item.quantity,
            price_per_unit=item.product.price
        )

        # Update stock
        item.product.stock -= item.quantity
        item.product.save()

    # Clear cart
    cart.items.all().delete()
""",
    )
    assert list(OrderItem.objects.filter(order=shell["order"]).values_list("product_id", "quantity")) == [
        (3, 2)
    ]
    assert Product.objects.get(pk=3).stock == 0
    assert not CartItem.objects.filter(cart=cart).exists()


def test_clean_old_data(shell: dict[str, Any]) -> None:
    Order.objects.update(order_date=datetime.datetime.now().date())
    Order.objects.filter(pk__in=(1, 2)).update(order_date=datetime.date(2020, 1, 1), status="completed")
    Order.objects.filter(pk=3).update(order_date=datetime.date(2020, 1, 1), status="pending")
    run(
        shell,
        """
# In Django shell
from datetime import datetime, timedelta
from shop.models import Order

# Delete orders older than 1 year
old_date = datetime.now().date() - timedelta(days=365)
Order.objects.filter(order_date__lt=old_date, status='completed').delete()
""",
    )
    assert list(Order.objects.filter(pk__lte=4).order_by("pk").values_list("pk", flat=True)) == [3, 4]
    assert not OrderItem.objects.filter(order_id__in=(1, 2)).exists()


def test_the_shell_knows_the_models() -> None:
    call_command("shell", command=f"assert {Category.__name__}.objects.count() == 0", verbosity=0)
