"""The page docs/: its headers, and in a real browser all that it is for."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from shop.models import Order, Product

PATH = "/shop/api/docs/"


def test_everybody_may_read_it(client: Client, settings: Settings) -> None:
    settings.SHOP_API_AUTH = "required"
    page = client.get(PATH)
    assert (page.status_code, page["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page["Cache-Control"] == "public, max-age=5"
    head = client.head(PATH)
    assert (head.status_code, head["ETag"], head.content) == (200, page["ETag"], b"")
    unchanged = client.get(PATH, headers={"If-None-Match": page["ETag"]})
    assert unchanged.status_code == 304
    assert unchanged["Content-Security-Policy"] == page["Content-Security-Policy"]
    refused = client.post(PATH)
    assert (refused.status_code, refused["Allow"]) == (405, "GET, HEAD")
    assert client.get(PATH, {"x": "1"}).status_code == 400


def test_what_it_takes_is_the_shops(client: Client) -> None:
    """No script or style stands in the page, and none comes from another host."""
    page = client.get(PATH).content.decode()
    assert "//" not in page
    assert "<script>" not in page
    assert "style" not in page.replace("stylesheet", "")


class Reader:
    """A person at the page, who opens an operation, fills it in and presses Execute."""

    def __init__(self, browser: Chrome, find: Callable[[str], WebElement]) -> None:
        self.browser, self.find = browser, find

    def fill(self, selector: str, text: str) -> None:
        self.find(selector).send_keys(Keys.CONTROL, "a")
        # Pasted: the page draws all of itself anew for each key.
        self.browser.execute_cdp_cmd("Input.insertText", {"text": text})

    def authorize(self, token: str) -> None:
        self.find(".auth-wrapper .authorize").click()
        self.fill(".auth-container input", token)
        self.find(".auth-container .authorize").click()
        self.find(".auth-container .btn-done").click()

    def post(self, path: str, body: object, **parameters: object) -> tuple[int, Any]:
        """Return the status and the JSON of the answer that the page shows."""
        block = f".opblock-post:has([data-path='/shop/api/{path}'])"
        self.find(f"{block} .opblock-summary-control").click()
        self.find(f"{block} .try-out__btn").click()
        for name, value in parameters.items():
            self.fill(f"{block} [data-param-name='{name}'] input", str(value))
        self.fill(f"{block} .body-param__text", json.dumps(body))
        self.find(f"{block} .execute").click()
        answer = f"{block} .live-responses-table tbody"
        status = self.find(f"{answer} .response-col_status").text
        shown = self.find(f"{answer} .response-col_description pre").text
        return int(status.split()[0]), json.loads(shown)


@pytest.fixture
def reader(
    transactional_db: None, browser: Chrome, find: Callable[[str], WebElement], live_server: LiveServer
) -> Iterator[Reader]:
    """Somebody before the page, whose console has nothing to say."""
    browser.get(f"{live_server}{PATH}")
    find(".opblock")
    yield Reader(browser, find)
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


@pytest.mark.slow
def test_it_shows_every_operation(reader: Reader, client: Client) -> None:
    document = client.get("/shop/api/openapi.json").json()
    shown = reader.browser.find_elements(By.CSS_SELECTOR, ".opblock")
    assert len(shown) == sum(
        method in ("get", "post", "put", "patch", "delete")
        for operations in document["paths"].values()
        for method in operations
    )
    assert not reader.browser.find_elements(By.CSS_SELECTOR, ".errors-wrapper, .loading-container")


@pytest.mark.slow
def test_it_sells_something(reader: Reader, gloves: Product) -> None:
    account = {
        "first_name": "Ada",
        "last_name": "Lovelace",
        "email": "ada@example.com",
        "password": "correct horse battery",
        "strasse": "Hauptstraße 1",
        "plz": "01067",
        "ort": "Dresden",
    }
    status, customer = reader.post("customer/", account)
    assert status == 201
    customer_id = customer["customer_id"]
    status, tokens = reader.post("token/", {name: account[name] for name in ("email", "password")})
    assert status == 200
    reader.authorize(tokens["access"])
    line = {"product_id": gloves.pk, "quantity": 2}
    status, _ = reader.post("customer/{customer_id}/cart/items/", line, customer_id=customer_id)
    assert status == 201
    status, order = reader.post(
        "customer/{customer_id}/orders/",
        {"expected_total": "471.98"},
        **{"customer_id": customer_id, "Idempotency-Key": "1"},
    )
    assert (status, order["total_amount"]) == (201, "471.98")
    assert Order.objects.get().customer_id == customer_id
    gloves.refresh_from_db()
    assert gloves.stock == 56
