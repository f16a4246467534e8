"""Lists in a real browser: filters, cells and the page that erases, by keyboard, the console silent."""

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from shop.models import Customer, Order, Product, StockCorrection

pytestmark = pytest.mark.slow

Find = Callable[[str], WebElement]


@pytest.fixture(autouse=True)
def quiet(browser: Chrome) -> Iterator[None]:
    """Nothing is wrong in the console, after each test."""
    yield
    messages = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert [entry["message"] for entry in messages if entry["level"] == "SEVERE"] == []


def test_orders_are_filtered(
    browser: Chrome,
    signed_in: LiveServer,
    find: Find,
    deborah: Customer,
    order: Order,
    gloves: Product,
    computer: Product,
) -> None:
    today = timezone.localdate()
    new = Order.objects.create(customer=deborah, total_amount=Decimal("1234.50"))
    new.items.create(product=computer, quantity=1, price_per_unit=1)
    Order.objects.create(customer=deborah, order_date=today)
    browser.get(f"{signed_in}/admin/shop/order/")
    browser.find_element(By.LINK_TEXT, "Today").click()
    assert find(".total").text == "2 orders, 1,234.50 in all"
    assert find("#filter_from").get_attribute("value") == str(today)
    find("#filter_product").send_keys(f"#{computer.pk}", Keys.ENTER)
    assert find(".total").text == "1 order, 1,234.50 in all"
    assert "Handmade Wooden Computer" in find("#changelist-filter").text
    # The other filters are still there.
    assert find("#filter_from").get_attribute("value") == str(today)
    find("#filter_category").send_keys("Home", Keys.TAB, Keys.ENTER)
    assert find(".total").text == "0 orders, 0.00 in all"
    browser.find_element(By.PARTIAL_LINK_TEXT, "Clear all filters").click()
    find("#filter_from").send_keys("11262025")
    find("#filter_to").send_keys("11262025", Keys.ENTER)
    assert find(".total").text == "1 order, 471.98 in all"
    find("#filter_product").send_keys("x", Keys.ENTER)
    assert find(".form-filter .errorlist").text == "No product has this number."


def test_cells_are_saved_by_enter(
    browser: Chrome,
    signed_in: LiveServer,
    find: Find,
    gloves: Product,
    computer: Product,
) -> None:
    browser.get(f"{signed_in}/admin/shop/product/")
    price = find("#id_form-0-price")
    assert price.accessible_name == "Price of Elegant Marble Gloves"
    price.clear()
    price.send_keys("200", Keys.TAB, "60", Keys.ENTER)
    assert find(".errorlist").text == "Say why the stock is corrected."
    assert find("#id_form-0-stock").get_attribute("value") == "60"
    reason = find("#id_reason")
    assert reason.accessible_name == "Reason, if a stock is corrected:"
    Product.objects.filter(pk=computer.pk).update(stock=1)
    reason.send_keys("Counted", Keys.TAB, Keys.ENTER)
    assert find(".messagelist .success").text == "1 product was changed successfully."
    gloves.refresh_from_db()
    assert (gloves.price, gloves.stock) == (Decimal("200.00"), 60)
    assert StockCorrection.objects.get().reason == "Counted"
    assert find("#id_form-1-stock").get_attribute("value") == "1"


@pytest.mark.parametrize("width", [390, 1366])
def test_a_customer_is_erased(
    browser: Chrome,
    signed_in: LiveServer,
    find: Find,
    order: Order,
    width: int,
) -> None:
    browser.set_window_size(width, 800)
    browser.get(f"{signed_in}/admin/shop/customer/{order.customer_id}/change/")
    find(".object-tools [href$='/erase/']").click()
    assert "1 order." in find("#content").text
    find("#content [type=submit]").click()
    assert find(".messagelist .success").text == "The customer was erased."
    assert Customer.objects.get().is_erased
