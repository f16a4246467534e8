"""Print how PostgreSQL runs the statement of each endpoint, in the database that the environment names."""

import os
from typing import Any

import django

MONTH = "from=2025-11-01&to=2025-11-30"
FILTERED = {
    "products": (
        "q=ukulele",
        "q=wooden+ukulele+piano",
        "q=ukulelle",
        "q=easy+guara",
        "q=guarantee",
        "q=guarantee&sort=name&limit=50",
        "q=xyzzyq",
        "category=Garden&sort=price&limit=50",
        "category=Industrial&sort=-sold&limit=50",
        "min_price=10&max_price=20&sort=name&limit=50",
        "min_price=500&sort=name&limit=50",
        "in_stock=1&sort=-sold&limit=50",
    ),
    "orders": ("status=pending&from=2021-01-01&to=2024-12-31", f"status=pending&status=shipped&{MONTH}"),
    "bestsellers": (MONTH,),
    "customer-stats": (MONTH,),
}
"""What is looked for, and asked of a month or of a status that hardly any order has, by the list's name."""


def main() -> None:
    """Print a heading and a plan for each endpoint, the ids being those of the middle, and for FILTERED."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webshop.settings")
    django.setup()
    from django.db import connection
    from django.http import QueryDict

    from shop.api.query import parse_query
    from shop.api.reading import ListEndpoint, ReadEndpoint
    from shop.database.statements import CHUNK, NEEDED
    from shop.models import Cart, Customer, Order, Product
    from shop.urls import urlpatterns

    middle = {
        "product": Product.objects.count() // 2,
        "customer-orders": Customer.objects.count() // 2,
        "order-details": Order.objects.count() // 2,
        "customer-cart": Cart.objects.count() // 2,
    }
    with connection.cursor() as cursor:

        def explain(heading: str, sql: str, parameters: list[Any]) -> None:
            cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {sql}", parameters)
            plan = "\n".join(line for (line,) in cursor.fetchall())
            print(f"\n`{heading}`:\n\n```text\n{plan}\n```")

        for pattern in urlpatterns:
            methods: Any = pattern.callback
            endpoint: Any = methods.endpoints.get("GET")
            if not isinstance(endpoint, ReadEndpoint) or (endpoint.ids and pattern.name not in middle):
                continue
            ids = [middle[str(pattern.name)]] if endpoint.ids else []
            select = endpoint.statement.bound(ids)
            explain(str(pattern.pattern), select.sql, select.parameters)
            for query in FILTERED.get(str(pattern.name), ()):
                assert isinstance(endpoint, ListEndpoint)  # noqa: S101
                assert endpoint.filtered  # noqa: S101
                asked = parse_query(QueryDict(query), endpoint.parameters)
                limit = asked.pop("limit", CHUNK)
                select = endpoint.selected(endpoint.filtered(asked)) or select
                sql = select.sql.replace(NEEDED, str(limit + 1))
                explain(f"{pattern.pattern}?{query}", f"{sql} LIMIT {limit + 1}", select.parameters)


if __name__ == "__main__":
    main()
