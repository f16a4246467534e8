"""?limit=, ?offset= and ?total= of the lists: pages, links to those beside them, the number of all rows."""

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from shop.models import Cart, Category, Customer, Order, OrderItem, Product


@pytest.fixture
def products(home: Category) -> list[int]:
    """Twelve products, by their ids; each with stock 3."""
    rows = Product.objects.bulk_create(
        Product(name=f"Lamp {n}", price=n, stock=3, category=home) for n in range(12)
    )
    return [product.pk for product in rows]


def ids(client: Client, query: str) -> list[int]:
    return [row["product_id"] for row in client.get(f"/shop/api/products/?{query}").json()]


def test_a_page_is_a_part_of_the_list(client: Client, products: list[int]) -> None:
    assert ids(client, "limit=5") == products[:5]
    assert ids(client, "limit=5&offset=5") == products[5:10]
    assert ids(client, "limit=5&offset=10") == products[10:]
    assert ids(client, "offset=3") == products[3:]
    assert ids(client, "limit=1000&offset=0") == products
    assert ids(client, "offset=12") == []
    assert ids(client, "offset=999999999") == []


@pytest.mark.parametrize(
    ("query", "link"),
    [
        ("limit=5", '<{}?limit=5&offset=5>; rel="next"'),
        ("limit=5&offset=5", '<{}?limit=5&offset=10>; rel="next", <{}?limit=5&offset=0>; rel="prev"'),
        (
            "limit=5&offset=3&total=1",
            '<{}?limit=5&offset=8&total=1>; rel="next", <{}?limit=3&offset=0&total=1>; rel="prev"',
        ),
        ("limit=5&offset=7", '<{}?limit=5&offset=2>; rel="prev"'),
        ("limit=12", ""),
        ("offset=1", '<{}?limit=1&offset=0>; rel="prev"'),
    ],
)
def test_links_lead_to_the_pages_beside_it(
    client: Client, products: list[int], query: str, link: str
) -> None:
    response = client.get(f"/shop/api/products/?{query}")
    assert ("Link" in response.headers) is bool(link)
    assert response.headers.get("Link", "") == link.replace("{}", "/shop/api/products/")


def test_following_the_links_gives_the_whole_list_once(client: Client, products: list[int]) -> None:
    found, url = [], "/shop/api/products/?limit=5"
    while url:
        response = client.get(url)
        found += [row["product_id"] for row in response.json()]
        url, _, relation = response.headers.get("Link", "").partition(", ")[0].strip("<").partition(">; rel=")
        url = url if relation == '"next"' else ""
    assert found == products


def test_the_total_comes_on_request(
    client: Client, products: list[int], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        assert "X-Total-Count" not in client.get("/shop/api/products/?limit=5").headers
    for query in ("limit=5&total=1", "total=1", "offset=50&total=1"):
        with django_assert_num_queries(2):
            assert client.get(f"/shop/api/products/?{query}").headers["X-Total-Count"] == "12"


def test_a_page_that_got_a_neighbour_or_another_total_is_another(client: Client, home: Category) -> None:
    url = "/shop/api/category-stats/?limit=1"
    for query in ("", "&total=1"):
        etag = client.get(url + query).headers["ETag"]
        assert client.get(url + query, headers={"if-none-match": etag}).status_code == 304
        Category.objects.create(category_name=f"Last{query}")
        assert client.get(url + query, headers={"if-none-match": etag}).status_code == 200


def test_every_list_has_pages(
    client: Client, products: list[int], order: Order, cart: Cart, jonas: Customer
) -> None:
    Order.objects.create(customer=order.customer, order_date="2025-11-27")
    OrderItem.objects.create(order=order, product_id=products[0], quantity=1, price_per_unit=1)
    for path, total in (
        ("products/", 14),
        (f"customer/{order.customer_id}/orders/", 2),
        (f"order/{order.pk}/", 2),
        ("bestsellers/", 2),
        ("low-stock/", 13),
        ("customer-stats/", 2),
        ("category-stats/", 2),
    ):
        whole = client.get(f"/shop/api/{path}")
        page = client.get(f"/shop/api/{path}?limit=1&offset=1&total=1")
        assert page.status_code == 200
        assert page.json() == whole.json()[1:2]
        assert page.headers["X-Total-Count"] == str(total) == str(len(whole.json()))


def test_a_page_of_nobody_is_not_found(
    client: Client, jonas: Customer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for query in ("limit=5", "offset=5&total=1"):
        with django_assert_num_queries(2):
            response = client.get(f"/shop/api/customer/{jonas.pk}/orders/?{query}")
        assert (response.status_code, response.json()) == (200, [])
        assert response.headers.get("X-Total-Count", "0") == "0"
        with django_assert_num_queries(2):
            response = client.get(f"/shop/api/customer/{jonas.pk + 1}/orders/?{query}")
        assert (response.status_code, response.json()) == (404, {"error": "Customer not found"})


@pytest.mark.django_db
def test_a_bad_parameter_is_a_bad_request_that_names_the_known(client: Client) -> None:
    known = "limit (1 to 1000), offset (0 to 999999999), total (1 to 1)"
    for query, name in (
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("limit=1.5", "limit"),
        ("limit=1e3", "limit"),
        ("limit=%D9%A3", "limit"),
        ("limit=+5", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("limit=5&limit=x", "limit"),
        ("limit=x&limit=5", "limit"),
        ("offset=-1", "offset"),
        ("offset=1000000000", "offset"),
        ("total=0", "total"),
        ("total=yes", "total"),
        ("limit=5&page=2", "page"),
        ("limit=5;DROP TABLE customer", "limit"),
        ("x" * 40 + "=1", "x" * 30),
    ):
        response = client.get(f"/shop/api/low-stock/?{query}")
        assert response.status_code == 400, query
        assert response.json() == {"error": f"Unknown or bad parameter {name!r}; known: {known}"}, query


def test_a_cart_has_no_pages(client: Client, cart: Cart) -> None:
    response = client.get(f"/shop/api/customer/{cart.customer_id}/cart/?limit=1")
    assert response.status_code == 400
    assert response.json() == {"error": "Unknown or bad parameter 'limit'; known: none"}
