"""`manage.py load_sample_data`: the sample shop, loaded once."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.color import no_style
from django.db import connection, transaction

from shop.models import Cart, CartItem, Category, Customer, Order, OrderItem, Product, ProductSales

TABLES = (Category, Product, Customer, Order, OrderItem, Cart, CartItem)
SMALLEST = 300  # orders: the sample
LARGEST = 700_000_000  # with three lines to an order, their ids still fit into an integer


class Command(BaseCommand):
    """Load the sample shop, or a larger one around it, into an empty shop; leave one with data as it is."""

    help = "Loads the sample data: 22 categories, 120 products, 100 customers, 300 orders and 50 carts."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--force", action="store_true", help="add the sample data beside other data")
        parser.add_argument(
            "--scale",
            type=int,
            metavar="N",
            help="fill an empty shop with N orders (300 or more), the sample's among them; not with --force",
        )

    @transaction.atomic
    def handle(self, *, force: bool, scale: int | None, **_: Any) -> None:
        """Load all or nothing; what is there already is neither changed nor added again."""
        if scale is not None and not SMALLEST <= scale <= LARGEST:
            raise CommandError(f"--scale must be from {SMALLEST} to {LARGEST}, not {scale}")
        if scale is not None and force:
            raise CommandError("--scale fills an empty shop: it does not go with --force")
        with connection.cursor() as cursor:
            # Two boots at once: the second waits here and then finds the data.
            cursor.execute("LOCK TABLE category, customer IN SHARE ROW EXCLUSIVE MODE")
        if not force and (Category.objects.exists() or Customer.objects.exists()):
            self.stdout.write("The shop holds data: nothing added (--force adds the sample beside it).")
            return
        from shop.sample.data import sample_shop  # where Faker may be missing, in production, it says so

        shop = sample_shop()
        present = Customer.objects.filter(email__in=[customer.email for customer in shop.customers]).count()
        if present == len(shop.customers):
            self.stdout.write("The sample data is loaded already; nothing changed.")
            return
        if present:
            raise CommandError(f"{present} of the sample's customers are there, not all: nothing added")
        # In an empty shop the ids start at 1, as documented, even if rows were there before.
        reset_sequences()
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
        sizes = len(shop.products), len(shop.customers), len(shop.orders), len(shop.carts)
        if scale is not None:
            from shop.sample.scale import grow  # where tqdm may be missing, it says so

            sizes = grow(shop, scale)
            reset_sequences()
            with connection.cursor() as cursor:
                names = [model._meta.db_table for model in (*TABLES, ProductSales)]
                tables = ", ".join(map(connection.ops.quote_name, names))
                cursor.execute(f"ANALYZE {tables}")
        loaded = "Loaded {} categories, {} products, {} customers, {} orders, {} carts."
        self.stdout.write(loaded.format(len(shop.categories), *sizes))


def reset_sequences() -> None:
    """Let the ids of every table go on after its last row, or start at 1 when it has none."""
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), list(TABLES)):
            cursor.execute(statement)
