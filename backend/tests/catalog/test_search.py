"""GET /shop/api/products/ with parameters: by words, category, price and stock, in a chosen order."""

import re
from collections.abc import Callable
from itertools import product
from random import Random
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils.http import urlencode
from pytest_django import DjangoAssertNumQueries, Settings

from shop.catalog import search
from shop.catalog.search import HITS
from shop.database.statements import Select
from shop.models import Category, Order, OrderItem, Product, SearchWord

PATH = "/shop/api/products/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def add(home: Category) -> Callable[..., Product]:
    """Make a product of this name."""

    def make(name: str, description: str = "", **values: Any) -> Product:
        return Product.objects.create(
            **{"name": name, "description": description, "price": 1, "category": home, "stock": 5, **values}
        )

    return make


def names(client: Client, **parameters: Any) -> list[str]:
    """The names of the products that are listed for this query string."""
    response = client.get(f"{PATH}?{urlencode(parameters, doseq=True)}")
    assert response.status_code == 200, response.content
    return [row["name"] for row in response.json()]


Add = Callable[..., Product]


def test_a_row_is_that_of_the_list(client: Client, gloves: Product, computer: Product) -> None:
    row = {
        "product_id": gloves.pk,
        "name": "Elegant Marble Gloves",
        "price": "235.99",
        "stock": 58,
        "category": "Home",
    }
    for query in ("q=gloves", "q=gloves&sort=name", "sort=-sold&category=Home", "max_price=300", "q=glowes"):
        response = client.get(f"{PATH}?{query}")
        assert response.json() == [row], query
        assert list(response.json()[0]) == list(row)


def test_all_words_are_found_in_any_order_and_place(client: Client, add: Add, garden: Category) -> None:
    add("Oak Bench", "Weatherproof.", category=garden)
    add("Oak Table", "For the kitchen.")
    assert names(client, q="bench oak") == ["Oak Bench"]
    assert names(client, q="weatherproof bench") == ["Oak Bench"]
    assert names(client, q="garden oak") == ["Oak Bench"]
    assert names(client, q="oak kitchen") == ["Oak Table"]
    assert names(client, q="oak") == ["Oak Bench", "Oak Table"]
    assert names(client, q="garden kitchen") == []


@pytest.mark.parametrize(
    ("language", "name", "queries"),
    [
        ("en", "Running Shoes", ["run shoe", "RUNNING SHOES", "runs shoes"]),
        ("en", "Lamp with Batteries", ["lamps battery", "lamp with the batteries"]),
        ("de", "Kleine Häuser", ["kleines haus", "klein Hauses", "die kleinen Häuser"]),
        ("de", "Lampe für die Küche", ["lampen küche", "lampe für küchen", "lampe fuer kueche"]),
    ],
)
def test_a_word_is_found_in_any_form(
    client: Client, add: Add, settings: Settings, language: str, name: str, queries: list[str]
) -> None:
    settings.SHOP_LANGUAGE = language
    add(name)
    add("Something else")
    for query in queries:
        assert names(client, q=query) == [name], query


SPELLINGS = ["Tür", "Tuer", "Tur", "TÜR", "TUER"]


def test_an_umlaut_may_be_written_either_way(client: Client, add: Add, settings: Settings) -> None:
    for written in SPELLINGS:
        Product.objects.all().delete()
        add(f"{written} aus Holz")
        queries = [*SPELLINGS, *(f"{spelling} holz" for spelling in SPELLINGS)]
        for language, query in product(("en", "de"), queries):
            settings.SHOP_LANGUAGE = language
            assert names(client, q=query) == [f"{written} aus Holz"], (language, query)


@pytest.mark.parametrize("written", ["Türklinke", "Tuerklinke", "Turklinke"])
def test_so_in_a_word_that_is_unfinished(client: Client, add: Add, written: str) -> None:
    add(written)
    for query in ("Türklin", "tuerklin", "turklin", "Türkl", "tuerkl"):
        assert names(client, q=query) == [written], query


def test_accents_and_case_are_aside(client: Client, add: Add) -> None:
    for name, query in (
        ("Große Straßenkarte", "GROSSE STRASSENKARTE"),
        ("Grosse Strassenkarte", "große straßenkarte"),
        ("Café Crème", "cafe creme"),
        ("Cafe Creme", "Café Crème"),
        ("Ångström Smørrebrød", "angstrom smorrebrod"),
        ("Łódź Œuvre", "lodz oeuvre"),
        ("Ta\u0308sse", "Tässe"),
        ("Ｗｉｄｅ", "wide"),
        ("Чайник", "чайник"),
        ("ΚΑΦΈΣ", "καφέ"),
        ("手袋", "手袋"),
    ):
        Product.objects.all().delete()
        add(name)
        assert names(client, q=query) == [name], query


def test_the_last_word_may_be_unfinished(client: Client, add: Add) -> None:
    add("Wooden Bookshelf", "Assembled with pleasure")
    for query in ("wooden b", "wooden bo", "wooden booksh", "w", "bookshelf assemb", "bookshelf pleas"):
        assert names(client, q=query) == ["Wooden Bookshelf"], query
    assert names(client, q="woo bookshelf") == []
    assert names(client, q="booksh wooden") == []


def test_so_a_category(client: Client, gloves: Product, computer: Product) -> None:
    assert names(client, q="electro") == ["Handmade Wooden Computer"]
    assert names(client, q="el") == ["Elegant Marble Gloves", "Handmade Wooden Computer"]


def test_one_letter_is_forgiven(client: Client, add: Add) -> None:
    add("Garden Lantern")
    add("Other")
    wrong = ("lanterm", "lantrn", "lanntern", "latnern", "xlantern", "lanternx", "antern", "lanter garden")
    for query in wrong:
        assert names(client, q=query) == ["Garden Lantern"], query


def test_so_in_a_name_of_five_letters(client: Client, add: Add) -> None:
    add("Chair")
    for query in ("chari", "hcair", "chaor", "chai", "chhair", "xhair", "cahir"):
        assert names(client, q=query) == ["Chair"], query


def test_two_letters_and_short_words_are_not_forgiven(client: Client, add: Add) -> None:
    add("Lamp KX4711 lantern")
    for query in ("lxmp", "lmap", "lamntrn", "latenrm", "kx4712", "kx471l"):
        assert names(client, q=query) == [], query


def test_nothing_is_forgiven_when_something_matches(client: Client, add: Add) -> None:
    add("Gartenlampe")
    add("Gartenrampe")
    assert names(client, q="gartenlampe") == ["Gartenlampe"]
    assert names(client, q="gartenlampe", min_price=2) == []
    assert sorted(names(client, q="gartenxampe")) == ["Gartenlampe", "Gartenrampe"]
    assert names(client, q="gartenxampe", min_price=2) == []


def test_a_new_name_is_searchable_and_corrected_to_at_once(client: Client, add: Add) -> None:
    product = add("Gadget")
    product.name = "Umbrella"
    product.save()
    assert names(client, q="gadget") == []
    assert names(client, q="umbrela") == ["Umbrella"]
    Product.objects.bulk_create([Product(name="Backpack", price=1, category=product.category)])
    assert names(client, q="bakpack") == ["Backpack"]


def test_names_with_digits_and_hyphens(client: Client, add: Add) -> None:
    for name in ("Modell X-12", "Modell Y-21"):
        add(name)
    for query in ("X-12", "x12", "x 12", "X–12", "x-1", "modell x-12"):
        assert names(client, q=query) == ["Modell X-12"], query


@pytest.mark.parametrize(
    ("name", "queries"),
    [
        ("T-Shirt", ["tshirt", "t-shirt", "shirt", "T-SHIRTS"]),
        ("Shampoo 500ml", ["500ml", "500 ml", "shampoo 500"]),
        ("Cable 1.5m", ["1.5m", "1.5 m", "cable 1.5"]),
        ("Men's Jeans", ["mens jeans", "men's jeans", "men jeans"]),
        ("Wi-Fi/USB_Adapter", ["wifi", "wi-fi usb", "usb adapter"]),
        ("C3PO", ["c3po", "c3-po", "c3"]),
    ],
)
def test_compounds(client: Client, add: Add, name: str, queries: list[str]) -> None:
    add(name)
    for query in queries:
        assert names(client, q=query) == [name], query


def test_stop_words_and_punctuation_find_nothing(client: Client, add: Add, settings: Settings) -> None:
    add("Lamp !", "for him and her - 50 %")
    queries = ("the", "und", "!!!", " ", "- _ -", "…", "🧤", "'", "\\", "%", "the and of", "für die")
    for language, query in product(("en", "de"), queries):
        settings.SHOP_LANGUAGE = language
        assert names(client, q=query) == [], (language, query)


HOSTILE = [
    "'" * 100,
    "a" * 100,
    "ä" * 100,
    "\ufdfa" * 100,
    "㌖" * 100,
    "a b " * 25,
    "a1" * 50,
    "a-" * 50,
    "ab cd-ef' | & ! ( ) <-> :* \\ '' \"",
    "':*ABCD",
    "lamp\u0000"[:4] + "\ufeff\u200b\u202e",
    "".join(map(chr, range(0x21, 0x7F))),
    "".join(map(chr, range(0xA0, 0x104))),
    "\U0001f9e4" * 100,
    "e\u0301" * 50,
    "\u0301" * 100,
    "\u0345",
    "\u0363 lamp",
    "lamp \u0345",
    "lampe lampf lampg lamph lampi lampj lampk lampl lampm lampn lampo lampp lampq lampr lamps lampt",
    "%s %(a)s %",
    "ʼn½²ﬀ",
]


@pytest.mark.slow
def test_anything_can_be_asked_for(client: Client, add: Add) -> None:
    for query in HOSTILE:
        Product.objects.all().delete()
        add("Lamp")
        add(query)
        for sort in ("relevance", "name", "-sold"):
            response = client.get(f"{PATH}?{urlencode([('q', query), ('sort', sort), ('total', '1')])}")
            assert response.status_code == 200, (query, sort)


@pytest.mark.parametrize(
    ("query", "found"), [("a4", "Paper A4"), ("t-shirt", "T-shirt blue"), ("i5", "Laptop i5")]
)
def test_a_stop_word_in_a_name_with_digits_or_hyphens_counts(
    client: Client, add: Add, query: str, found: str
) -> None:
    for name in (
        "Paper A4",
        "Paper A5",
        "Set of 4 Cups",
        "T-shirt blue",
        "Shirt blue",
        "Laptop i5",
        "Lamp 5",
    ):
        add(name)
    assert names(client, q=query) == [found]


def test_a_greek_word_is_found_in_either_case(client: Client, add: Add) -> None:
    add("ΣΊΣΥΦΟΣ")
    for query in ("σίσυφος", "ΣΊΣΥΦΟΣ", "σισυφοσ"):
        assert names(client, q=query) == ["ΣΊΣΥΦΟΣ"]


def test_a_word_of_very_many_categories(client: Client, add: Add) -> None:
    """It finds what has it in the name, and what is in fifty of the categories."""
    categories = Category.objects.bulk_create(Category(category_name=f"Lamps {n}") for n in range(200))
    add("Old Lamp")
    for category in categories:
        add("Bulb", category=category)
    found = names(client, q="lamps")
    assert found[0] == "Old Lamp"
    assert len(found) == 51


FOLDS_TO_NOTHING = """
SELECT count(*), count(search_query(letter || ' lamp', 'english_stem', true)) FROM (
    SELECT chr(code) AS letter FROM generate_series(1, 1114111) AS code WHERE code NOT BETWEEN 55296 AND 57343
) AS letters
WHERE letter COLLATE pg_c_utf8 ~ '[[:alnum:]]'
AND search_fold(lower(normalize(letter, NFKC) COLLATE pg_c_utf8)) = ''
"""


@pytest.mark.slow
def test_no_letter_of_unicode_breaks_a_query() -> None:
    """Some marks are letters to PostgreSQL, of which folding leaves nothing."""
    with connection.cursor() as cursor:
        cursor.execute(FOLDS_TO_NOTHING)
        marks, queries = cursor.fetchone()
    assert marks == queries
    assert marks > 0


def test_the_name_comes_first(client: Client, add: Add) -> None:
    add("Oak Shelf", "Next to a lamp.")
    add("Lampshade")
    add("Lamps in a set of three, with bulbs")
    add("Large Lamp")
    add("Lamp")
    assert names(client, q="lamp") == [
        "Lamp",
        "Large Lamp",
        "Lamps in a set of three, with bulbs",
        "Lampshade",
        "Oak Shelf",
    ]


def test_categories_are_any_of_those_named(client: Client, gloves: Product, computer: Product) -> None:
    assert names(client, category="Home") == [gloves.name]
    assert names(client, category=["Home", "Electronics"]) == [gloves.name, computer.name]
    assert names(client, category=["Home", "Home", "Nowhere"]) == [gloves.name]
    for unknown in ("home", "Nowhere", "Home ", "%", "x" * 200):
        assert names(client, category=unknown) == []
    assert names(client, category="Electronics", q="wooden") == [computer.name]
    assert names(client, category="Home", q="wooden") == []


def test_prices_include_both_ends(client: Client, gloves: Product, computer: Product) -> None:
    assert names(client, min_price="235.99", max_price="369.35") == [gloves.name, computer.name]
    assert names(client, min_price="236") == [computer.name]
    assert names(client, max_price="369.34") == [gloves.name]
    assert names(client, min_price="300", max_price="200") == []
    assert names(client, min_price="99999999999999999") == []
    assert names(client, q="wooden", max_price="300") == []


def test_in_stock(client: Client, add: Add) -> None:
    add("Lamp gone", stock=0)
    add("Lamp there", stock=1)
    assert names(client, in_stock=1) == ["Lamp there"]
    assert names(client, in_stock=1, q="lamp") == ["Lamp there"]


def test_sorting_by_price(client: Client, add: Add) -> None:
    for name, price in (("B", 10), ("C", 9), ("A", 10), ("D", 100)):
        add(f"Lamp {name}", price=price)
    queries: list[dict[str, str]] = [{}, {"q": "lamp"}, {"category": "Home"}]
    for query in queries:
        assert names(client, sort="price", **query) == ["Lamp C", "Lamp B", "Lamp A", "Lamp D"]
        assert names(client, sort="-price", **query) == ["Lamp D", "Lamp B", "Lamp A", "Lamp C"]


DICTIONARY = [
    "(New) Lamp",
    "2 Lamps",
    "apfel",
    "Äpfel",
    "Apfelmus",
    "Ärger",
    "Banane",
    "Čaj",
    "Öl",
    "Ölfarbe",
    "Omelett",
    "Strase",
    "Straße",
    "Strassen",
    "übung",
    "Zebra",
]


@pytest.mark.parametrize("language", ["en", "de"])
def test_names_sort_as_in_a_dictionary(client: Client, add: Add, settings: Settings, language: str) -> None:
    settings.SHOP_LANGUAGE = language
    for name in reversed(DICTIONARY):
        add(name, "lamp")
    assert names(client, sort="name", in_stock=1) == DICTIONARY
    assert names(client, sort="-name") == DICTIONARY[::-1]
    assert names(client, sort="name", q="lamp") == DICTIONARY


def test_sorting_by_what_was_sold_counts_as_bestsellers_does(
    client: Client, add: Add, order: Order, gloves: Product
) -> None:
    lamps = [add(f"Lamp {number}") for number in range(4)]
    for lamp, quantity in zip(lamps, (3, 1, 0, 1), strict=True):
        if quantity:
            OrderItem.objects.create(order=order, product=lamp, quantity=quantity, price_per_unit=1)
    expected = ["Lamp 0", gloves.name, "Lamp 1", "Lamp 3", "Lamp 2"]
    assert names(client, sort="-sold") == expected
    assert names(client, sort="-sold", q="lamp") == [name for name in expected if name != gloves.name]
    assert names(client, sort="-sold", limit=2, offset=1) == expected[1:3]
    with connection.cursor() as cursor:  # as while several transactions sell it
        cursor.execute(
            "SET LOCAL shop.reconcile = 'on'; "
            "INSERT INTO product_sales (product_id, main, quantity, revenue) VALUES (%s, false, 4, 4)",
            [lamps[1].pk],
        )
    expected = ["Lamp 1", "Lamp 0", gloves.name, "Lamp 3", "Lamp 2"]
    assert names(client, sort="-sold") == expected
    assert names(client, sort="-sold", q="lamp", in_stock=1) == [
        name for name in expected if name != gloves.name
    ]
    assert names(client, sort="-sold", limit=1) == ["Lamp 1"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"q": "lamp"},
        {"q": "lampz"},
        {"q": "lamp", "sort": "price"},
        {"sort": "-sold"},
        {"sort": "-name", "category": "Home"},
        {"min_price": "1", "in_stock": 1},
    ],
)
def test_pages(
    client: Client, add: Add, parameters: dict[str, Any], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(5):
        add("Lamps Large")
    whole = client.get(f"{PATH}?{urlencode(parameters)}").json()
    assert len(whole) == 5
    pages: list[Any] = []
    for offset in (0, 2, 4, 6):
        with django_assert_num_queries(2):
            response = client.get(
                f"{PATH}?{urlencode({**parameters, 'limit': 2, 'offset': offset, 'total': 1})}"
            )
        assert response.headers["X-Total-Count"] == str(len(whole))
        pages += response.json()
    assert pages == whole
    with django_assert_num_queries(1):
        client.get(f"{PATH}?{urlencode(parameters)}")


def test_links_keep_the_parameters(client: Client, gloves: Product, add: Add) -> None:
    add("Gloves")
    link = client.get(f"{PATH}?q=gloves&category=Home&limit=1").headers["Link"]
    assert link == f'<{PATH}?q=gloves&category=Home&limit=1&offset=1>; rel="next"'


def test_of_many_hits_a_thousand_are_ranked_and_all_are_counted_and_sorted(
    client: Client, home: Category
) -> None:
    Product.objects.bulk_create(
        Product(name="Lamp", price=number, category=home) for number in range(HITS + 5)
    )
    response = client.get(f"{PATH}?q=lamp&offset=990&total=1")
    assert (len(response.json()), response.headers["X-Total-Count"]) == (10, "1005")
    assert "next" not in response.headers["Link"]
    response = client.get(f"{PATH}?q=lamp&offset=990&sort=-price")
    assert [row["price"] for row in response.json()] == [f"{number}.00" for number in range(14, -1, -1)]


def test_far_behind_the_last_page_there_is_nothing(client: Client, gloves: Product) -> None:
    for sort in ("", "price", "-price", "name", "-name", "-sold"):
        for asked in ({}, {"q": "gloves"}, {"min_price": 1}, {"category": "Home"}, {"in_stock": 1}):
            parameters = {**asked, "sort": sort, "offset": 999_999_999}
            response = client.get(
                f"{PATH}?{urlencode({key: value for key, value in parameters.items() if value})}"
            )
            assert (response.status_code, response.json()) == (200, []), parameters


@pytest.fixture(params=["3", "30"], ids=["many", "few"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let twenty hits be many, a page of which may be among the first eight products, or let them be few.

    Then more than two are no handful, and a page of them may be among the first twelve products.
    """
    monkeypatch.setattr(search, "FEW", request.param)
    monkeypatch.setattr(search, "HANDFUL", "2")
    monkeypatch.setattr(search, "REACH", "12")
    monkeypatch.setattr(search, "FIRST", "8")


def sorted_by(sort: str, products: list[Product], sold: dict[int, int]) -> list[int]:
    keys: dict[str, Callable[[Product], Any]] = {
        "price": lambda product: product.price,
        "-price": lambda product: -product.price,
        "name": lambda product: product.name,
        "-name": lambda product: [-ord(letter) for letter in product.name],
        "-sold": lambda product: -sold.get(product.pk, 0),
    }
    return [product.pk for product in sorted(products, key=lambda one: (keys[sort](one), one.pk))]


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("sort", ["price", "-price", "name", "-name", "-sold"])
@pytest.mark.parametrize("place", ["anywhere", "first", "last"])
def test_of_many_products_the_first_ones_in_order_come_first(
    client: Client,
    home: Category,
    garden: Category,
    order: Order,
    sort: str,
    place: str,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    order.items.all().delete()
    Product.objects.all().delete()
    random = Random(f"{sort} {place}")
    products = [
        Product(
            name=f"{random.choice('ABCD')}{random.choice('AB')}{random.choice('AB')}",
            price=random.randint(1, 9),
            stock=random.randint(0, 1),
            category=random.choice([home, garden]),
        )
        for _ in range(40)
    ]
    Product.objects.bulk_create(products)
    lines = [
        OrderItem(order=order, product=product, quantity=random.randint(1, 5), price_per_unit=1)
        for product in random.sample(products, 30)
    ]
    OrderItem.objects.bulk_create(lines)
    sold = {line.product_id: line.quantity for line in lines}
    with connection.cursor() as cursor:  # as while several transactions sell them
        best = sorted(products, key=lambda product: -sold.get(product.pk, 0))
        for product, more in ((best[0], -4), (best[1], -4), (best[2], -4), (best[9], 9)):
            cursor.execute(
                "SET LOCAL shop.reconcile = 'on'; "
                "INSERT INTO product_sales (product_id, main, quantity, revenue) VALUES (%s, false, %s, 0)",
                [product.pk, more],
            )
            sold[product.pk] = sold.get(product.pk, 0) + more
    whole = sorted_by(sort, products, sold)
    hits = {"anywhere": set(random.sample(whole, 20)), "first": set(whole[:20]), "last": set(whole[20:])}
    Product.objects.filter(pk__in=hits[place]).update(description="lantern")
    SearchWord.objects.create(word="lantern")
    found = [product for product in products if product.pk in hits[place]]
    filters: list[tuple[dict[str, Any], Callable[[Product], bool]]] = [
        ({"q": "lantern"}, lambda _: True),
        ({"q": "lanterm"}, lambda _: True),
        ({"q": "lantern", "min_price": 3, "max_price": 7}, lambda product: 3 <= product.price <= 7),
        ({"q": "lantern", "min_price": 7}, lambda product: product.price >= 7),
        ({"q": "lantern", "in_stock": 1}, lambda product: product.stock > 0),
        ({"q": "lantern", "category": "Garden"}, lambda product: product.category == garden),
        ({"category": "Garden"}, lambda product: product.category == garden),
        ({"category": ["Garden", "Home"], "in_stock": 1}, lambda product: product.stock > 0),
        (
            {"q": "lantern", "category": "Garden", "in_stock": 1, "min_price": 2},
            lambda product: product.category == garden and product.stock > 0 and product.price >= 2,
        ),
        (
            {"category": ["Garden", "Nowhere"], "max_price": 3},
            lambda product: product.category == garden and product.price <= 3,
        ),
        ({"min_price": 3}, lambda product: product.price >= 3),
        ({"min_price": 9}, lambda product: product.price >= 9),
    ]
    for asked, keeps in filters:
        among = found if "q" in asked else products
        expected = sorted_by(sort, [product for product in among if keeps(product)], sold)
        for limit, offset in ((3, 0), (3, 3), (15, 10)):
            parameters = {"sort": sort, "limit": limit, "offset": offset, "total": 1, **asked}
            with django_assert_num_queries(2):
                response = client.get(f"{PATH}?{urlencode(parameters, doseq=True)}")
            page = [row["product_id"] for row in response.json()]
            assert page == expected[offset : offset + limit], parameters
            assert response.headers["X-Total-Count"] == str(len(expected))
            assert ("next" in response.headers.get("Link", "")) == (offset + limit < len(expected))


def test_a_product_that_is_gone_takes_no_place_among_the_best(
    client: Client, gloves: Product, computer: Product
) -> None:
    """What several transactions sold of it at once may stay when it is deleted, until the next sale."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SET LOCAL shop.reconcile = 'on'; "
            "INSERT INTO product_sales (product_id, main, quantity, revenue) VALUES (%s, true, 9, 0)",
            [computer.pk + 1],
        )
    first = client.get(f"{PATH}?sort=-sold&limit=1")
    assert [row["product_id"] for row in first.json()] == [gloves.pk]
    assert first.headers["Link"] == f'<{PATH}?sort=-sold&limit=1&offset=1>; rel="next"'


def test_what_cannot_be_meant_is_a_400(client: Client, gloves: Product) -> None:
    for query in (
        "q=",
        "q=" + "a" * 101,
        "q=%00",
        "q=a&q=b",
        "category=",
        "min_price=",
        "min_price=-1",
        "min_price=1.5",
        "min_price=1,50",
        "max_price=NaN",
        "max_price=1e3",
        "max_price=١",
        "in_stock=0",
        "in_stock=true",
        "in_stock=",
        "sort=",
        "sort=stock",
        "sort=product_id",
        "sort=sold",
        "sort=relevance",
        "sort=relevance&category=Home",
        "sort=price&sort=name",
        "Q=lamp",
        "search=lamp",
    ):
        response = client.get(f"{PATH}?{query}")
        assert response.status_code == 400, query
        assert list(response.json()) == ["error"], query


def test_renaming_a_category_writes_no_product(client: Client, computer: Product) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT ctid::text FROM product")
        before = cursor.fetchall()
        Category.objects.filter(category_name="Electronics").update(category_name="Gadgets")
        cursor.execute("SELECT ctid::text FROM product")
        assert cursor.fetchall() == before
    assert names(client, q="gadgets") == [computer.name]
    assert names(client, q="electronics") == []


@pytest.mark.django_db(transaction=True)
def test_a_change_of_stock_writes_no_index(gloves: Product) -> None:
    counts = []
    with connection.cursor() as cursor:
        cursor.execute("VACUUM product")  # there is room beside the row, whatever other tests have left there
        for _ in range(2):
            cursor.execute("SELECT pg_stat_force_next_flush()")
            cursor.execute(
                "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'product'"
            )
            counts.append(cursor.fetchone())
            for stock in range(5):
                cursor.execute("UPDATE product SET stock = %s", [stock])
    (updated, hot), (updated_then, hot_then) = counts
    assert (updated_then - updated, hot_then - hot) == (5, 5)


def test_words_that_are_gone_are_forgotten_by_the_command(
    add: Add, capsys: pytest.CaptureFixture[str]
) -> None:
    lamp = add("Floor Lampshade")
    add("Lantern")
    SearchWord.objects.create(word="lantern")
    SearchWord.objects.filter(word="floor").delete()
    lamp.delete()
    call_command("renew_search_words")
    assert capsys.readouterr().out == "The search knows 1 words.\n"
    assert list(SearchWord.objects.values_list("word", flat=True)) == ["lantern"]
    SearchWord.objects.all().delete()
    call_command("renew_search_words")
    assert list(SearchWord.objects.values_list("word", flat=True)) == ["lantern"]


def test_long_texts_can_be_stored(client: Client, add: Add) -> None:
    add("Ä" * 200, "wörd-like " * 100_000)
    add("x" * 200, "y" * 1_000_000)
    assert names(client, q="word-like") == ["Ä" * 200]


def test_a_hit_on_very_many_pages_is_found_by_the_index_alone(home: Category) -> None:
    """However little work_mem is: what it cannot hold of the index would be looked for in each product."""
    found = search.search({"product_id": "product_id"}, words="lamp", sort="name")
    assert isinstance(found, Select)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE product ALTER COLUMN description SET STORAGE PLAIN")  # two on each page
        cursor.execute(
            "INSERT INTO product (name, description, price, category_id) "
            "SELECT 'Lamp', repeat(' ', 3900), 1, %s FROM generate_series(1, 2200)",
            [home.pk],
        )
        cursor.execute("SET LOCAL work_mem = '64kB'")
        assert found.counting
        sql, parameters = found.counting()
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {sql}", parameters)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    (blocks,) = re.findall("Heap Blocks: (.+)", plan)
    assert re.fullmatch("exact=11[0-9]{2}", blocks)  # it has room for 1024
