"""docs/MAIL.md names each mail, and shows one; --record-pictures takes its picture anew."""

import base64
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings
from selenium.webdriver import Chrome

from shop.orders.mails import order_letter
from tests import BACKEND, ROOT

PICTURE = ROOT / "docs" / "mail.png"
WIDTH = 600

ORDER = {
    "order_id": 301,
    "order_date": "2026-11-24",
    "total_amount": "974.69",
    "items": [
        {"product_name": "Handmade Wooden Computer", "quantity": 2, "subtotal": "738.70"},
        {"product_name": "Elegant Marble Gloves", "quantity": 1, "subtotal": "235.99"},
    ],
    "delivery": {
        "first_name": "Ada",
        "last_name": "Lovelace",
        "strasse": "Hauptstraße 1",
        "plz": "01067",
        "ort": "Dresden",
    },
}


def test_the_page_names_each_mail() -> None:
    templates = BACKEND / "shop" / "templates" / "shop" / "mail"
    kinds = {path.stem for path in templates.glob("*.txt")} - {"order"}  # which the others extend
    named = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "MAIL.md").read_text(), re.M)
    assert sorted(named) == sorted(kinds)


@pytest.fixture
def narrow(browser: Chrome) -> Iterator[Chrome]:
    """A browser as wide as a mail program shows a mail."""
    size = {"width": WIDTH, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.slow
def test_a_mail_fits_a_narrow_window(
    narrow: Chrome, settings: Settings, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    settings.SHOP_SELLER = "Webshop GmbH\nMarktplatz 1, 01067 Dresden\nshop@webshop.example"
    mail = order_letter("placed", ORDER, customer_id=1, email="ada@example.com", name="Ada Lovelace")
    page = tmp_path / "mail.html"
    page.write_text(mail.html)
    narrow.get(page.as_uri())
    width, height = narrow.execute_script(
        "return [document.documentElement.scrollWidth,"
        " Math.ceil(document.body.getBoundingClientRect().bottom)]"
    )
    assert width == WIDTH
    if pytestconfig.getoption("record_pictures"):
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": height, "scale": 1}
        whole = {"captureBeyondViewport": True, "clip": clip}
        picture = narrow.execute_cdp_cmd("Page.captureScreenshot", whole)
        PICTURE.write_bytes(base64.b64decode(picture["data"]))
    (width_of_picture,) = struct.unpack(">I", PICTURE.read_bytes()[16:20])
    assert width_of_picture == WIDTH
