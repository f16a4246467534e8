"""ETag, Cache-Control, and SHOP_CACHE_SECONDS."""

import threading
import time
from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.db import connection, connections
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from shop.api import microcache
from shop.models import Cart, Order, Product

PUBLIC = "public, max-age=5"
PRIVATE = "private, no-cache"


@pytest.fixture
def paths(order: Order, cart: Cart) -> dict[str, str]:
    """Each endpoint with its Cache-Control."""
    return {
        "/shop/api/products/": PUBLIC,
        f"/shop/api/customer/{order.customer_id}/orders/": PRIVATE,
        f"/shop/api/order/{order.pk}/": PRIVATE,
        f"/shop/api/customer/{cart.customer_id}/cart/": PRIVATE,
        "/shop/api/bestsellers/": PRIVATE,
        "/shop/api/low-stock/": PUBLIC,
        "/shop/api/customer-stats/": PRIVATE,
        "/shop/api/category-stats/": PUBLIC,
    }


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def test_an_answer_that_the_caller_has_is_not_sent_again(client: Client, paths: dict[str, str]) -> None:
    for path in paths:
        etag = client.get(path).headers["ETag"]
        for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            response = client.get(path, headers={"if-none-match": known})
            assert (response.status_code, response.content) == (304, b"")
            assert response.headers["ETag"] == etag
        assert client.get(path, headers={"if-none-match": '"other"'}).status_code == 200
        assert client.head(path).headers["ETag"] == etag
        if "cart" not in path:
            page = client.get(f"{path}?limit=1")
            assert (
                client.get(f"{path}?limit=1", headers={"if-none-match": page.headers["ETag"]}).status_code
                == 304
            )


def test_a_change_changes_the_etag(client: Client, paths: dict[str, str], gloves: Product) -> None:
    before = client.get("/shop/api/products/").headers["ETag"]
    Product.objects.filter(pk=gloves.pk).update(stock=1)
    response = client.get("/shop/api/products/", headers={"if-none-match": before})
    assert response.status_code == 200
    assert response.headers["ETag"] != before


def test_a_read_has_nothing_to_lose_by_if_match(client: Client, gloves: Product) -> None:
    etag = client.get("/shop/api/products/").headers["ETag"]
    for condition in ({"if-match": '"x"'}, {"if-unmodified-since": "Mon, 01 Jan 2001 00:00:00 GMT"}):
        assert client.get("/shop/api/products/", headers=condition).status_code == 200
        for known, status in (('"y"', 200), (etag, 304), ("*", 304)):
            headers = {**condition, "if-none-match": known}
            assert client.get("/shop/api/products/", headers=headers).status_code == status


def test_who_may_keep_an_answer(client: Client, paths: dict[str, str]) -> None:
    assert {path: client.get(path).headers["Cache-Control"] for path in paths} == paths
    response = client.get("/shop/api/products/", headers={"if-none-match": "*"})
    assert (response.status_code, response.headers["Cache-Control"]) == (304, PUBLIC)


def test_nobody_keeps_an_error(client: Client, paths: dict[str, str], settings: Settings) -> None:
    settings.SHOP_API_AUTH = "required"
    for path, status in (
        ("products/?x=1", 400),
        ("bestsellers/", 401),
        ("nope/", 404),
    ):
        response = client.get(f"/shop/api/{path}")
        assert (response.status_code, response.headers["Cache-Control"]) == (status, "no-store")
        assert "ETag" not in response.headers
    assert client.post("/shop/api/products/").headers["Cache-Control"] == "no-store"


def test_what_is_written_is_what_the_next_get_shows(client: Client, gloves: Product) -> None:
    for stock in (5, 6):
        Product.objects.filter(pk=gloves.pk).update(stock=stock)
        response = client.get("/shop/api/products/")
        assert response.json()[0]["stock"] == stock
        assert "Age" not in response.headers


def test_with_cache_seconds_an_answer_is_given_again(
    client: Client,
    paths: dict[str, str],
    settings: Settings,
    gloves: Product,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    settings.SHOP_CACHE_SECONDS = 60
    cached = [
        "/shop/api/products/",
        "/shop/api/bestsellers/",
        "/shop/api/low-stock/",
        "/shop/api/category-stats/",
    ]
    for path in cached:
        with django_assert_num_queries(1):
            first = client.get(path)
        assert first.headers["Age"] == "0"
        scope = "public" if paths[path] == PUBLIC else "private"
        assert first.headers["Cache-Control"] == f"{scope}, max-age=60"
        with django_assert_num_queries(0):
            assert client.get(path).content == first.content
            known = client.get(path, headers={"if-none-match": first.headers["ETag"]})
            assert (known.status_code, known.headers["Age"]) == (304, "0")
        with django_assert_num_queries(1):
            assert client.get(f"{path}?limit=5").json() == first.json()[:5]


def test_customers_are_never_cached(
    client: Client,
    paths: dict[str, str],
    settings: Settings,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    settings.SHOP_CACHE_SECONDS = 60
    for path in paths:
        if "customer" in path or "order" in path:
            for _ in range(2):
                with django_assert_num_queries(1):
                    response = client.get(path)
                assert "Age" not in response.headers
                assert response.headers["Cache-Control"] == PRIVATE


def test_a_cached_report_is_still_for_staff(client: Client, order: Order, settings: Settings) -> None:
    settings.SHOP_CACHE_SECONDS = 60
    assert client.get("/shop/api/bestsellers/").status_code == 200
    settings.SHOP_API_AUTH = "required"
    assert client.get("/shop/api/bestsellers/").status_code == 401


def test_age_tells_how_old_an_answer_is(
    client: Client, gloves: Product, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SHOP_CACHE_SECONDS = 60
    now = time.time()
    for later, age in ((0, "0"), (59.5, "59"), (60.5, "0"), (60.5, "0")):
        monkeypatch.setattr(time, "time", lambda later=later: now + later)
        assert client.get("/shop/api/products/").headers["Age"] == age


def test_every_answer_that_is_too_old_is_made_anew(
    client: Client, gloves: Product, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SHOP_CACHE_SECONDS = 1
    now = time.time()
    for stock in range(5):
        Product.objects.filter(pk=gloves.pk).update(stock=stock)
        monkeypatch.setattr(time, "time", lambda later=1.5 * stock: now + later)
        response = client.get("/shop/api/products/")
        assert (response.headers["Age"], response.json()[0]["stock"]) == ("0", stock)


@pytest.mark.django_db(transaction=True)
def test_one_caller_makes_the_next_answer_and_the_others_do_not_wait(
    client: Client, gloves: Product, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is locked: who asks it waits; everybody else gets the old answer, with its age."""
    settings.SHOP_CACHE_SECONDS = 60
    monkeypatch.setattr(microcache, "GRACE_SECONDS", 600)
    assert client.get("/shop/api/products/").json()[0]["stock"] == 58
    Product.objects.filter(pk=gloves.pk).update(stock=1)
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    answers: list[int] = []

    def ask() -> None:
        try:
            response = Client().get("/shop/api/products/")
            assert (response.headers["Age"] == "0") is (response.json()[0]["stock"] == 1)
            answers.append(response.json()[0]["stock"])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    with connection.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE product")
        try:
            for thread in threads:
                thread.start()
            deadline = time.monotonic() + 60
            while len(answers) < 7 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert answers == [58] * 7
        finally:
            cursor.execute("ROLLBACK")
            for thread in threads:
                thread.join()
    assert answers[7:] == [1]
    assert client.get("/shop/api/products/").json()[0]["stock"] == 1
