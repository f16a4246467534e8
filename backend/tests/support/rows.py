"""Many rows at once, and the stocks of all products."""

from django.db import connection

from shop.models import Category, Product


def fill(category: Category, rows: int) -> None:
    """Add so many lamps to a category, with names of 200 characters that the search takes little of."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO product (name, price, category_id) "
            "SELECT 'Lamp' || repeat(' .', 98), 1, %s FROM generate_series(1, %s)",
            [category.pk, rows],
        )


def stock_of(product: Product) -> int:
    return Product.objects.values_list("stock", flat=True).get(pk=product.pk)


def stocks() -> list[int]:
    return sorted(Product.objects.values_list("stock", flat=True))
