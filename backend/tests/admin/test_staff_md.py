"""The pictures of docs/STAFF.md; --record-pictures takes them anew."""

import base64
import struct
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer
from selenium.webdriver import Chrome

from shop.models import Customer, Order, OrderItem, Product
from shop.orders.models import Delivery
from tests import ROOT

pytestmark = pytest.mark.slow

WIDTH, HEIGHT = 1280, 900
ADDRESS = {
    "first_name": "Deborah",
    "last_name": "Bruen",
    "strasse": "Hauptstraße 1",
    "plz": "01067",
    "ort": "Dresden",
}

PICTURES: dict[str, Callable[[Order], str]] = {
    "staff-start": lambda _: reverse("admin:index"),
    "staff-packing": lambda _: reverse("admin:shop_order_to_pack"),
    "staff-order": lambda order: reverse("admin:shop_order_change", args=[order.pk]),
}


@pytest.fixture
def busy_month(deborah: Customer, gloves: Product, computer: Product, placed: Order) -> None:
    """Orders of the last 30 days, some of them cancelled, some to be packed."""
    today = timezone.localdate()
    for day in range(30):
        for number in range(1 + day * 7 % 4):
            quantity = 1 + (day + number) % 3
            order = Order.objects.create(
                customer=deborah,
                order_date=today - timedelta(day),
                status="cancelled" if (day + number) % 9 == 5 else "completed" if day > 3 else "processing",
                total_amount=quantity * Decimal("235.99"),
            )
            OrderItem.objects.create(order=order, product=gloves, quantity=quantity, price_per_unit="235.99")
            Delivery.objects.create(
                order=order,
                first_name="Deborah",
                last_name="Bruen",
                strasse="Hauptstraße 1",
                plz="01067",
                ort="Dresden",
            )


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture(
    name: str,
    browser: Chrome,
    signed_in: LiveServer,
    placed: Order,
    busy_month: None,
    pytestconfig: pytest.Config,
) -> None:
    size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(f"{signed_in}{PICTURES[name](placed)}")
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    path = ROOT / "docs" / f"{name}.png"
    if pytestconfig.getoption("record_pictures"):
        picture = browser.execute_cdp_cmd("Page.captureScreenshot", {})
        path.write_bytes(base64.b64decode(picture["data"]))
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert struct.unpack(">II", path.read_bytes()[16:24]) == (WIDTH, HEIGHT)
