"""Print how PostgreSQL runs the statement of each endpoint, in the database that the environment names."""

import os
from typing import Any

import django


SEARCHES = (
    "q=ukulele",
    "q=wooden+ukulele+piano",
    "q=ukulelle",
    "q=easy+guara",
    "q=guarantee",
    "q=xyzzyq",
    "category=Garden&sort=price&limit=50",
    "min_price=10&max_price=20&sort=name&limit=50",
    "in_stock=1&sort=-sold&limit=50",
)


def main() -> None:
    """Print a heading and a plan for each endpoint, the ids being those of the middle, and for searches."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webshop.settings")
    django.setup()
    from django.db import connection

    from shop.api.reading import ReadEndpoint
    from shop.models import Cart, Customer, Order
    from shop.urls import urlpatterns

    middle = {
        "customer-orders": Customer.objects.count() // 2,
        "order-details": Order.objects.count() // 2,
        "customer-cart": Cart.objects.count() // 2,
    }
    with connection.cursor() as cursor:
        for pattern in urlpatterns:
            methods: Any = pattern.callback
            endpoint = methods.endpoints.get("GET")
            if not isinstance(endpoint, ReadEndpoint) or (endpoint.ids and pattern.name not in middle):
                continue
            ids = [middle[str(pattern.name)]] if endpoint.ids else []
            select = endpoint.statement.bound(ids)
            cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {select.sql}", select.parameters)
            plan = "\n".join(line for (line,) in cursor.fetchall())
            print(f"\n`{pattern.pattern}`:\n\n```text\n{plan}\n```")


if __name__ == "__main__":
    main()
