"""Prices and stocks changed in the list of products: nothing unseen, no wrong row, why a stock is another."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from shop.carts import cart as carts
from shop.models import Cart, Category, Customer, Product, StockCorrection
from shop.orders.checkout import Placed, place_order
from shop.orders.models import Actor
from tests.admin.conftest import Clerk
from tests.admin.test_actions import messages_of
from tests.admin.test_corrections import NO_REASON, corrections
from tests.admin.test_forms import FormParser, errors_of, open_form
from tests.support.races import at_once, meanwhile
from tests.support.rows import stock_of

LIST = "/admin/shop/product/"
OVERWRITE = "Somebody changed this meanwhile: it is {} now. Save again to overwrite that."


def numbered(form: dict[str, str], product: Product) -> str:
    """Return the prefix of a product's cells."""
    (name,) = [
        name
        for name, value in form.items()
        if re.fullmatch(r"form-\d+-product_id", name) and value == str(product.pk)
    ]
    return name.removesuffix("product_id")


def cells(form: dict[str, str], product: Product, **changes: object) -> dict[str, str]:
    """Return the form with other cells of a product."""
    prefix = numbered(form, product)
    return form | {f"{prefix}{name}": str(value) for name, value in changes.items()}


def send(client: Client, form: dict[str, str], query: str = "") -> Any:
    return client.post(f"{LIST}{query}", form | {"_save": "Save"})


def saved(client: Client, form: dict[str, str], query: str = "") -> None:
    response = send(client, form, query)
    assert response.status_code == 302, errors_of(response)


def stored(*products: Product) -> list[tuple[str, int]]:
    rows = Product.objects.in_bulk([product.pk for product in products])
    return [(str(rows[product.pk].price), rows[product.pk].stock) for product in products]


def shown(response: Any, product: Product) -> tuple[str, str]:
    """Return price and stock in the cells of a page, which stand in the row of the product's name."""
    form = FormParser(response.content.decode()).values
    prefix = numbered(form, product)
    (row,) = re.findall(
        rf"<tr>(?:(?!<tr>).)*{re.escape(product.name)}</a>.*?</tr>", response.content.decode(), re.S
    )
    assert f'name="{prefix}price"' in row
    return form[f"{prefix}price"], form[f"{prefix}stock"]


def test_cells_are_saved(admin_client: Client, gloves: Product, computer: Product) -> None:
    form = cells(open_form(admin_client, LIST), gloves, price="200")
    form = cells(form, computer, stock="7", price="300.50") | {"reason": "Counted"}
    response = send(admin_client, form, "?q=")
    assert (response.status_code, response["Location"]) == (302, f"{LIST}?q=")
    assert messages_of(response) == [("success", "2 products were changed successfully.")]
    assert stored(gloves, computer) == [("200.00", 58), ("300.50", 7)]
    assert corrections(computer) == [(2, 7, "Counted", "admin")]
    assert corrections(gloves) == []
    log = {entry.object_id: entry.get_change_message() for entry in LogEntry.objects.all()}
    assert log == {str(gloves.pk): "Changed Price.", str(computer.pk): "Changed Price and Stock."}


def test_only_what_was_changed_is_written(admin_client: Client, gloves: Product, computer: Product) -> None:
    form = cells(open_form(admin_client, LIST), gloves, price="200.00")
    Product.objects.filter(pk=gloves.pk).update(stock=55, name="Mittens")
    Product.objects.filter(pk=computer.pk).update(price=1, stock=1)
    saved(admin_client, form)
    assert stored(gloves, computer) == [("200.00", 55), ("1.00", 1)]
    assert Product.objects.get(pk=gloves.pk).name == "Mittens"
    with CaptureQueriesContext(connection) as queries:
        saved(admin_client, open_form(admin_client, LIST))
    assert not [query["sql"] for query in queries if query["sql"].startswith('UPDATE "product"')]
    assert not StockCorrection.objects.exists()


@pytest.mark.parametrize(
    ("name", "mine", "theirs", "now"), [("price", "200", 300, "300.00"), ("stock", "60", 55, "55")]
)
def test_a_cell_that_others_changed_is_refused_once(
    admin_client: Client, gloves: Product, computer: Product, name: str, mine: str, theirs: int, now: str
) -> None:
    form = cells(open_form(admin_client, LIST), gloves, **{name: mine}) | {"reason": "Counted"}
    form = cells(form, computer, price="1.00")
    Product.objects.filter(pk=gloves.pk).update(**{name: theirs})
    response = send(admin_client, form)
    assert errors_of(response) == [OVERWRITE.format(now)]
    assert mine in shown(response, gloves)
    assert shown(response, computer) == ("1.00", "2")
    assert stored(computer) == [("369.35", 2)]
    assert LogEntry.objects.count() == 0
    again = FormParser(response.content.decode()).values
    assert again["reason"] == "Counted"
    saved(admin_client, again)
    assert str(float(getattr(Product.objects.get(pk=gloves.pk), name))) == str(float(mine))
    assert stored(computer) == [("1.00", 2)]


@pytest.mark.parametrize("query", ["", "?o=-5", "?o=2&stock=low"])
def test_rows_are_found_by_their_keys(
    admin_client: Client, gloves: Product, computer: Product, home: Category, query: str
) -> None:
    """Also where the list is sorted by what changes, or has other rows by now."""
    Product.objects.filter(pk=gloves.pk).update(stock=5)
    form = cells(open_form(admin_client, LIST + query), gloves, price="1.00")
    form = cells(form, computer, price="2.00")
    Product.objects.filter(pk=gloves.pk).update(stock=1000)
    Product.objects.filter(pk=computer.pk).update(stock=2000)
    for number in range(3):
        Product.objects.create(name=f"A {number}", price=9, stock=number * 999, category=home)
    saved(admin_client, form, query)
    assert stored(gloves, computer) == [("1.00", 1000), ("2.00", 2000)]
    assert Product.objects.filter(price=9).count() == 3


def test_a_refused_page_shows_the_rows_that_were_sent(
    admin_client: Client, gloves: Product, computer: Product, home: Category
) -> None:
    form = cells(open_form(admin_client, f"{LIST}?o=5"), gloves, price="zzz")
    form = cells(form, computer, price="2.00")
    Product.objects.filter(pk=computer.pk).update(stock=2000)
    Product.objects.create(name="Mug", price=9, stock=0, category=home)
    response = send(admin_client, form, "?o=5")
    assert errors_of(response) == ["Enter a number such as 1234.50, with no comma."]
    assert shown(response, gloves) == ("zzz", "58")
    assert shown(response, computer) == ("2.00", "2000")
    assert "Mug" not in response.content.decode()


def test_a_product_that_is_gone(admin_client: Client, gloves: Product, computer: Product) -> None:
    """It is spoken of if it was changed; the rest of the page can be saved."""
    form = cells(open_form(admin_client, LIST), computer, price="2.00")
    changed = cells(form, gloves, price="1.00")
    gloves_id = gloves.pk
    gloves.delete()
    response = send(admin_client, changed)
    assert errors_of(response) == [
        f"Deleted meanwhile: product {gloves_id}. Save again to save the rest of this page."
    ]
    assert stored(computer) == [("369.35", 2)]
    saved(admin_client, FormParser(response.content.decode()).values)
    assert stored(computer) == [("2.00", 2)]
    saved(admin_client, form)
    assert Product.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("price", "-0.01", "The price must be between 0.00 and 99999999.99."),
        ("price", "NaN", "Enter a number such as 1234.50, with no comma."),
        ("price", "1,50", "Enter a number such as 1234.50, with no comma."),
        ("price", "1.234", "Ensure that there are no more than 2 decimal places."),
        ("price", "", "This field is required."),
        ("stock", "-1", "The stock must not be negative."),
        ("stock", "1.5", "Enter a whole number such as 1234, with digits alone."),
        ("stock", "9" * 30, "Ensure this value is less than or equal to 2147483647."),
        ("stock", "9" * 5000, "Enter a whole number such as 1234, with digits alone."),
    ],
)
def test_bad_cells(
    admin_client: Client, gloves: Product, computer: Product, name: str, value: str, error: str
) -> None:
    form = cells(open_form(admin_client, LIST), gloves, **{name: value}) | {"reason": "Counted"}
    response = send(admin_client, cells(form, computer, price="1.00"))
    assert errors_of(response) == [error]
    assert shown(response, computer) == ("1.00", "2")
    assert stored(gloves, computer) == [("235.99", 58), ("369.35", 2)]


@pytest.mark.parametrize(
    ("reason", "error"),
    [(" ", NO_REASON), ("x" * 201, "Ensure this value has at most 200 characters (it has 201).")],
)
def test_a_stock_wants_a_reason(admin_client: Client, gloves: Product, reason: str, error: str) -> None:
    form = cells(open_form(admin_client, LIST), gloves, stock="60") | {"reason": reason}
    response = send(admin_client, form)
    assert errors_of(response) == [error]
    assert shown(response, gloves) == ("235.99", "60")
    assert (stock_of(gloves), corrections(gloves)) == (58, [])


def test_one_reason_for_all(admin_client: Client, gloves: Product, computer: Product) -> None:
    form = cells(open_form(admin_client, LIST), gloves, stock="60")
    saved(admin_client, cells(form, computer, stock="3") | {"reason": "Counted"})
    assert corrections(gloves) == [(58, 60, "Counted", "admin")]
    assert corrections(computer) == [(2, 3, "Counted", "admin")]


@pytest.mark.parametrize("key", ["abc", "", "0", "-1", "1" * 30, "9" * 5000, "²"])
def test_a_forged_key(admin_client: Client, gloves: Product, computer: Product, key: str) -> None:
    form = cells(open_form(admin_client, LIST), gloves, price="1.00", product_id=key)
    response = send(admin_client, form)
    assert response.status_code == 200
    assert errors_of(response)[0].startswith("Deleted meanwhile: product ")
    assert stored(gloves, computer) == [("235.99", 58), ("369.35", 2)]
    assert Product.objects.count() == 2


def test_a_key_sent_twice(admin_client: Client, gloves: Product, computer: Product) -> None:
    form = cells(open_form(admin_client, LIST), gloves, price="1.00")
    form = cells(form, computer, price="2.00", product_id=gloves.pk)
    saved(admin_client, form)
    assert stored(gloves, computer) == [("1.00", 58), ("369.35", 2)]


@pytest.mark.parametrize("value", ["abc", "9" * 30, "", "-1"])
@pytest.mark.parametrize("name", ["form-TOTAL_FORMS", "form-INITIAL_FORMS", "initial-"])
def test_forged_numbers(admin_client: Client, gloves: Product, name: str, value: str) -> None:
    """The rows are counted anew; what the page showed may be forged, too: it is then not what is stored."""
    form = cells(open_form(admin_client, LIST), gloves, price="1.00")
    forged = {field: value for field in form if field.startswith(name)}
    assert forged
    response = send(admin_client, form | forged)
    assert stored(gloves) == [("235.99" if response.status_code == 200 else "1.00", 58)]
    assert response.status_code == 200 or name != "initial-"


def test_other_columns_cannot_be_sent(admin_client: Client, gloves: Product, electronics: Category) -> None:
    form = cells(open_form(admin_client, LIST), gloves, price="1.00", name="X", category=electronics.pk)
    saved(admin_client, form)
    gloves.refresh_from_db()
    assert (gloves.name, gloves.category.category_name) == ("Elegant Marble Gloves", "Home")


def test_a_list_to_choose_from_has_no_cells(admin_client: Client, gloves: Product) -> None:
    form = cells(open_form(admin_client, LIST), gloves, price="1.00")
    assert "form-0-price" not in open_form(admin_client, f"{LIST}?_popup=1")
    assert send(admin_client, form, "?_popup=1").status_code == 200
    assert stored(gloves) == [("235.99", 58)]


def test_viewers_see_text(clerk: Clerk, gloves: Product, computer: Product) -> None:
    viewer = clerk("view_product")
    page = viewer.get(LIST).content.decode()
    assert '<td class="field-price">235.99</td>' in page
    assert "_save" not in page
    assert 'name="reason"' not in page
    form = {"form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "form-0-product_id": str(gloves.pk)}
    form |= {"form-0-price": "1", "initial-form-0-price": "235.99", "form-0-stock": "58"}
    assert send(viewer, form).status_code == 403
    assert stored(gloves) == [("235.99", 58)]


def test_cells_have_names(admin_client: Client, gloves: Product) -> None:
    gloves.name = '"><script>alert(1)</script>'
    gloves.save()
    page = admin_client.get(LIST).content.decode()
    assert 'aria-label="Stock of &quot;&gt;&lt;script&gt;' in page
    assert "<script>alert(1)" not in page


def test_a_save_costs_the_same_queries_at_1_and_at_50_rows(
    admin_client: Client, gloves: Product, home: Category
) -> None:
    """Refused or not, and whatever the number of rows that were not changed."""
    costs = []
    for turn in range(2):
        for change in (
            {"price": f"{turn + 1}.00"},
            {"price": "zzz"},
            {"stock": str(turn), "reason": "Counted"},
        ):
            form = open_form(admin_client, LIST)
            form = cells(form, gloves, **change) | {"reason": "Counted"}
            with CaptureQueriesContext(connection) as queries:
                send(admin_client, form)
            costs.append(len(queries))
        for number in range(49):
            category = Category.objects.create(category_name=f"{turn} {number}")
            Product.objects.create(name=f"Mug {number}", price=1, category=category)
    assert costs[:3] == costs[3:]
    assert max(costs) < 30


# Several at once


@pytest.fixture
def staff(transactional_db: None, admin_user: Any) -> Callable[[], Client]:
    def sign_in() -> Client:
        client = Client()
        client.force_login(admin_user)
        return client

    return sign_in


@pytest.mark.django_db(transaction=True)
def test_two_people_at_one_cell(staff: Callable[[], Client], gloves: Product, computer: Product) -> None:
    calls = []
    for mine, other in (("1.00", "3.00"), ("2.00", "4.00")):
        client = staff()
        form = cells(open_form(client, LIST), gloves, price=mine)
        calls.append(partial(send, client, cells(form, computer, price=other)))
    responses = at_once(*calls)
    assert sorted(response.status_code for response in responses) == [200, 302]
    [(price, _), (other, _)] = stored(gloves, computer)
    assert (price, other) in (("1.00", "3.00"), ("2.00", "4.00"))
    [loser] = [response for response in responses if response.status_code == 200]
    assert errors_of(loser) == [OVERWRITE.format(price), OVERWRITE.format(other)]
    assert LogEntry.objects.count() == 2


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_checkout_and_a_correction(
    staff: Callable[[], Client], ada: Customer, gloves: Product, computer: Product
) -> None:
    """Whoever is second sees what the first did; the corrections and what was sold explain the stock."""
    client = staff()
    for _ in range(5):
        before = stock_of(gloves)
        sold = StockCorrection.objects.count()
        carts.put(customer_id=ada.pk, product_id=gloves.pk, quantity=3)
        form = cells(open_form(client, LIST), gloves, stock=before + 10) | {"reason": "Counted"}
        response, placed = at_once(
            partial(send, client, form),
            partial(place_order, customer_id=ada.pk, expected_total=None, by=Actor.CUSTOMER),
        )
        assert isinstance(placed, Placed), placed
        if response.status_code == 302:
            assert stock_of(gloves) == before + 10 - 3
            assert StockCorrection.objects.count() == sold + 1
        else:
            assert errors_of(response) == [OVERWRITE.format(before - 3)]
            assert stock_of(gloves) == before - 3
            assert StockCorrection.objects.count() == sold


@pytest.mark.django_db(transaction=True)
def test_a_sale_that_is_under_way(staff: Callable[[], Client], gloves: Product, basket: Cart) -> None:
    client = staff()
    form = cells(open_form(client, LIST), gloves, stock="60") | {"reason": "Counted"}
    response = meanwhile(
        f"UPDATE product SET stock = stock - 3 WHERE product_id = {gloves.pk}", partial(send, client, form)
    )
    assert errors_of(response) == [OVERWRITE.format(55)]
    assert (stock_of(gloves), StockCorrection.objects.count()) == (55, 0)


@pytest.mark.django_db(transaction=True)
def test_a_product_that_goes_as_its_cells_are_saved(
    staff: Callable[[], Client], gloves: Product, computer: Product
) -> None:
    client = staff()
    form = cells(open_form(client, LIST), gloves, price="1.00")
    response = meanwhile(
        f"DELETE FROM product WHERE product_id = {gloves.pk}",
        partial(send, client, cells(form, computer, price="2.00")),
    )
    assert errors_of(response) == [
        f"Deleted meanwhile: product {gloves.pk}. Save again to save the rest of this page."
    ]
    assert stored(computer) == [("369.35", 2)]
