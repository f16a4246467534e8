"""Stocks that staff correct on the page of a product: why, by whom, and nothing unseen."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from shop.catalog import stock
from shop.models import Category, Product, StockCorrection
from tests.admin.conftest import Clerk
from tests.admin.test_actions import delete_url
from tests.admin.test_forms import FormParser, add_url, change_url, errors_of, open_form, refused, save
from tests.support.races import at_once
from tests.support.rows import stock_of

NO_REASON = "Say why the stock is corrected."


def corrections(product: Product) -> list[tuple[int, int, str, str]]:
    rows = product.corrections.order_by("pk")
    return list(rows.values_list("before", "after", "reason", "username"))


def test_a_correction_keeps_its_reason(admin_client: Client, gloves: Product) -> None:
    for number, reason in (("60", "Counted"), ("59", "<b>Torn</b>")):
        form = open_form(admin_client, change_url(gloves)) | {"stock": number, "reason": f" {reason} "}
        save(admin_client, change_url(gloves), form)
    assert stock_of(gloves) == 59
    assert corrections(gloves) == [(58, 60, "Counted", "admin"), (60, 59, "<b>Torn</b>", "admin")]
    page = admin_client.get(change_url(gloves)).content.decode()
    newest, older = (
        page.index("60 → 59, by admin: &lt;b&gt;Torn&lt;/b&gt;"),
        page.index("58 → 60, by admin: Counted"),
    )
    assert newest < older
    assert FormParser(page).values["reason"] == ""


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("", NO_REASON),
        (" ", NO_REASON),
        ("x" * 201, "Ensure this value has at most 200 characters (it has 201)."),
    ],
)
def test_a_correction_wants_a_reason(admin_client: Client, gloves: Product, reason: str, error: str) -> None:
    form = open_form(admin_client, change_url(gloves)) | {"stock": "60", "reason": reason, "name": "Mittens"}
    assert refused(admin_client, change_url(gloves), form) == [error]
    gloves.refresh_from_db()
    assert (gloves.stock, gloves.name, corrections(gloves)) == (58, "Elegant Marble Gloves", [])


def test_other_changes_want_none(admin_client: Client, gloves: Product) -> None:
    form = open_form(admin_client, change_url(gloves)) | {"name": "Mittens", "reason": "none"}
    save(admin_client, change_url(gloves), form)
    gloves.refresh_from_db()
    assert (gloves.name, corrections(gloves)) == ("Mittens", [])


def test_a_new_product_wants_none(admin_client: Client, home: Category) -> None:
    form = open_form(admin_client, add_url(Product))
    assert "reason" not in form
    save(
        admin_client,
        add_url(Product),
        form | {"name": "Mug", "category": str(home.pk), "price": "1", "stock": "7"},
    )
    assert (stock_of(Product.objects.get()), StockCorrection.objects.count()) == (7, 0)


def test_a_sale_meanwhile_is_seen_first(admin_client: Client, gloves: Product) -> None:
    form = open_form(admin_client, change_url(gloves)) | {"stock": "60", "reason": "Counted"}
    Product.objects.update(stock=55)
    response = admin_client.post(change_url(gloves), form)
    assert errors_of(response) == [
        "Somebody changed this meanwhile: it is 55 now. Save again to overwrite that."
    ]
    assert (stock_of(gloves), corrections(gloves)) == (55, [])
    save(admin_client, change_url(gloves), FormParser(response.content.decode()).values)
    assert corrections(gloves) == [(55, 60, "Counted", "admin")]


def test_the_last_ten_are_shown(admin_client: Client, gloves: Product) -> None:
    for number in range(12):
        StockCorrection.objects.create(
            product=gloves, before=number, after=number + 1, reason="", username="ann"
        )
    page = admin_client.get(change_url(gloves)).content.decode()
    assert page.count("by ann") == 10
    assert "11 → 12" in page


def test_the_name_outlives_the_user(client: Client, gloves: Product) -> None:
    ann = User.objects.create_superuser("ann")
    client.force_login(ann)
    save(
        client, change_url(gloves), open_form(client, change_url(gloves)) | {"stock": "1", "reason": "Stolen"}
    )
    ann.delete()
    assert corrections(gloves) == [(58, 1, "Stolen", "ann")]


def test_corrections_go_with_their_product(admin_client: Client, gloves: Product) -> None:
    stock.correct(product_id=gloves.pk, before=58, after=1, reason="Stolen", username="ann")
    assert "<li>Stock corrections: 1</li>" in admin_client.get(delete_url(gloves)).content.decode()
    assert admin_client.post(delete_url(gloves), {"post": "yes"}).status_code == 302
    assert not StockCorrection.objects.exists()


def test_viewers_see_corrections_and_give_no_reason(clerk: Clerk, gloves: Product) -> None:
    stock.correct(product_id=gloves.pk, before=58, after=1, reason="Stolen", username="ann")
    viewer = clerk("view_product")
    page = viewer.get(change_url(gloves)).content.decode()
    assert "58 → 1, by ann: Stolen" in page
    assert "reason" not in FormParser(page).values
    assert f"?product={gloves.pk}" not in page
    assert viewer.post(change_url(gloves), {"stock": "5", "reason": "x"}).status_code == 403


def test_a_product_leads_to_its_orders(clerk: Clerk, gloves: Product) -> None:
    page = clerk("view_product", "view_order").get(change_url(gloves)).content.decode()
    assert f'<a href="/admin/shop/order/?product={gloves.pk}">Orders with this product</a>' in page


@pytest.mark.django_db(transaction=True)
def test_of_two_corrections_of_one_stock_one_is_kept(gloves: Product) -> None:
    def correct(after: int) -> None:
        stock.correct(product_id=gloves.pk, before=58, after=after, reason="Counted", username="ann")

    errors = [error for error in at_once(lambda: correct(60), lambda: correct(61)) if error]
    assert [error.messages for error in errors] == [["The stock is not 58 any more. Nothing was saved."]]
    [(before, after, *_)] = corrections(gloves)
    assert (before, after) == (58, stock_of(gloves))
