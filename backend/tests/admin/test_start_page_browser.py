"""The start page in a real browser, on a desk and on a phone."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from shop.models import Customer, Order, Product

pytestmark = pytest.mark.slow


@pytest.fixture
def _sold(deborah: Customer, gloves: Product, transactional_db: None) -> None:
    """A month of orders, each day's larger than the day before, and one cancelled each week."""
    today = timezone.localdate()
    for back in range(30):
        day = {"customer": deborah, "order_date": today - timedelta(back)}
        Order.objects.create(**day, status="completed", total_amount=Decimal(3000 - 100 * back))
        if back % 7 == 0:
            Order.objects.create(**day, status="cancelled", total_amount=Decimal(500))
    Order.objects.create(customer=deborah, status="processing", total_amount=Decimal(20))


def complaints(browser: Chrome) -> list[str]:
    """Return what the console has, the policy's included."""
    return [entry["message"] for entry in browser.get_log("browser")]  # type: ignore[no-untyped-call]


@pytest.mark.usefixtures("_sold")
def test_the_start_page_is_drawn_and_leads_to_its_lists(
    browser: Chrome,
    signed_in: LiveServer,
    find: Callable[[str], WebElement],
) -> None:
    for width in (1366, 390):
        browser.set_window_size(width, 900)
        browser.get(f"{signed_in}/admin/")
        page = browser.find_element(By.TAG_NAME, "html")
        assert page.get_property("scrollWidth") == page.get_property("clientWidth"), width
        sold = find(".start path.revenue")
        chart = find(".start svg").rect
        assert chart["height"] == 160
        assert sold.rect["width"] > 0.9 * chart["width"]
        assert sold.value_of_css_property("fill") != find(".start path.cancelled").value_of_css_property(
            "fill"
        )
    find(".start summary").click()
    assert len(find(".start details tbody").find_elements(By.TAG_NAME, "tr")) == 30

    find(".start .tasks a").click()
    assert browser.current_url == f"{signed_in}/admin/shop/order/to_pack/"
    browser.back()
    find("[aria-labelledby=orders-heading] tbody td:nth-child(3) a").click()
    today = timezone.localdate()
    address = f"/admin/shop/order/?from={today}&to={today}&status__exact=cancelled"
    assert browser.current_url == f"{signed_in}{address}"
    assert len(find("#result_list tbody").find_elements(By.TAG_NAME, "tr")) == 1
    assert complaints(browser) == []
