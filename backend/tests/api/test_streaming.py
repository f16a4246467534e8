"""Long lists: sent chunk by chunk, as of one moment."""

import json

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from shop.catalog.endpoints import products
from shop.database.statements import CHUNK
from shop.models import Category, Product

PATH = "/shop/api/products/"
pytestmark = pytest.mark.django_db(transaction=True)


def fill(home: Category, rows: int) -> list[int]:
    """Make so many products, and return their ids."""
    Product.objects.all().delete()
    products = Product.objects.bulk_create(
        Product(name=f'Lamp "{n}" 💡', price=n, category=home) for n in range(rows)
    )
    return [product.pk for product in products]


def open_cursors() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_cursors WHERE name LIKE '\\_django\\_curs%'")
        (number,) = cursor.fetchone()
    return int(number)


@pytest.mark.parametrize("pooler", [False, True])
@pytest.mark.parametrize("rows", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1])
def test_a_list_of_any_length_is_whole(
    client: Client, home: Category, monkeypatch: pytest.MonkeyPatch, rows: int, *, pooler: bool
) -> None:
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", pooler)
    ids = fill(home, rows)
    for _ in range(2):
        response = client.get(PATH)
        assert response.streaming is (rows >= CHUNK)
        answer = json.loads(b"".join(response))
        assert [row["product_id"] for row in answer] == ids
        assert answer[-1]["name"] == f'Lamp "{rows - 1}" 💡'
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["Cache-Control"] == "public, max-age=5"
        assert ("ETag" in response.headers) is ("Content-Length" in response.headers) is (rows < CHUNK)
    assert open_cursors() == 0
    assert connection.get_autocommit()


def test_a_long_list_costs_a_second_query_whatever_was_asked_before(client: Client, home: Category) -> None:
    for rows, expected in (
        (CHUNK - 1, ["EXECUTE"]),
        (CHUNK, ["EXECUTE", "DECLARE"]),
        (CHUNK + 1, ["EXECUTE", "DECLARE"]),
        (0, ["EXECUTE"]),
    ):
        fill(home, rows)
        for _ in range(2):
            with CaptureQueriesContext(connection) as queries:
                response = client.get(PATH)
                assert len(json.loads(b"".join(response))) == rows
            assert response.streaming is (rows >= CHUNK)
            assert [query["sql"].split()[0] for query in queries] == expected


def test_the_first_chunk_is_sent_before_the_last_is_read(client: Client, home: Category) -> None:
    ids = fill(home, 3 * CHUNK)
    chunks = iter(client.get(PATH))
    first = next(chunks)
    assert [row["product_id"] for row in json.loads(first + b"]")] == ids[:CHUNK]
    assert open_cursors() == 1
    Product.objects.filter(pk=ids[-1]).update(name="changed meanwhile")
    rest = b"".join(chunks)
    assert json.loads(first + rest)[-1]["name"] == f'Lamp "{3 * CHUNK - 1}" 💡'
    assert open_cursors() == 0


@pytest.mark.parametrize("received", [0, 1, 2])
def test_who_hangs_up_leaves_nothing_open(client: Client, home: Category, received: int) -> None:
    fill(home, 3 * CHUNK)
    response = products(RequestFactory().get(PATH))
    parts = iter(response)
    for _ in range(received):
        next(parts)
    assert open_cursors() == 1
    response.close()
    assert open_cursors() == 0
    assert connection.get_autocommit()
    assert client.get(f"{PATH}?limit=1").status_code == 200


def test_head_reads_the_first_chunk_alone(client: Client, home: Category) -> None:
    fill(home, 3 * CHUNK)
    response = products(RequestFactory().head(PATH))
    assert open_cursors() == 0
    assert (response.status_code, b"".join(response)) == (200, b"")
    assert response.headers["Content-Type"] == "application/json"


def test_a_page_of_a_long_list_is_not_streamed(client: Client, home: Category) -> None:
    ids = fill(home, CHUNK + 10)
    b"".join(client.get(PATH))
    response = client.get(f"{PATH}?limit={CHUNK}")
    assert not response.streaming
    assert [row["product_id"] for row in response.json()] == ids[:CHUNK]
    assert "ETag" in response.headers
