"""Many rows at once."""

from django.db import connection

from shop.models import Category


def fill(category: Category, rows: int) -> None:
    """Add so many lamps to a category."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO product (name, price, category_id) SELECT 'Lamp', 1, %s FROM generate_series(1, %s)",
            [category.pk, rows],
        )
