"""`manage.py load_sample_data`: the sample shop, loaded once."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.color import no_style
from django.db import connection, transaction

from shop.models import Cart, CartItem, Category, Customer, Order, OrderItem, Product

TABLES = (Category, Product, Customer, Order, OrderItem, Cart, CartItem)


class Command(BaseCommand):
    """Load the sample shop into an empty shop, and leave one that holds data as it is."""

    help = "Loads the sample data: 22 categories, 120 products, 100 customers, 300 orders and 50 carts."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --force."""
        parser.add_argument("--force", action="store_true", help="add the sample data beside other data")

    @transaction.atomic
    def handle(self, *, force: bool, **_: Any) -> None:
        """Load all or nothing; what is there already is neither changed nor added again."""
        with connection.cursor() as cursor:
            # Two boots at once: the second waits here and then finds the data.
            cursor.execute("LOCK TABLE category, customer IN SHARE ROW EXCLUSIVE MODE")
        if not force and (Category.objects.exists() or Customer.objects.exists()):
            self.stdout.write("The shop holds data: nothing added (--force adds the sample beside it).")
            return
        from shop.sample_data import sample_shop  # where Faker may be missing, in production, it says so

        shop = sample_shop()
        known = Customer.objects.filter(email__in=[customer.email for customer in shop.customers]).count()
        if known == len(shop.customers):
            self.stdout.write("The sample data is loaded already; nothing changed.")
            return
        if known:
            raise CommandError(f"{known} of the sample's customers are there, not all: nothing added")
        with connection.cursor() as cursor:
            # In an empty shop the ids start at 1, as documented, even if rows were there before.
            for statement in connection.ops.sequence_reset_sql(no_style(), list(TABLES)):
                cursor.execute(statement)
        existing = Category.objects.in_bulk(field_name="category_name")
        Category.objects.bulk_create(
            category for category in shop.categories if category.category_name not in existing
        )
        for product in shop.products:
            product.category = existing.get(product.category.category_name, product.category)
        Product.objects.bulk_create(shop.products)
        Customer.objects.bulk_create(shop.customers)
        Order.objects.bulk_create(shop.orders)
        OrderItem.objects.bulk_create(shop.order_items)
        Cart.objects.bulk_create(shop.carts)
        CartItem.objects.bulk_create(shop.cart_items)
        self.stdout.write(
            f"Loaded {len(shop.categories)} categories, {len(shop.products)} products, "
            f"{len(shop.customers)} customers, {len(shop.orders)} orders, {len(shop.carts)} carts."
        )
