"""The admin in a real browser: styled, and its scripts at work."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.live_server_helper import LiveServer
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from shop.models import Cart, Customer, Order, Payment, Product
from shop.orders.models import Delivery
from tests.support.browser import stopped_by_policy, waiting
from tests.support.serving import developing

pytestmark = pytest.mark.slow


def sign_in(find: Callable[[str], WebElement]) -> None:
    """Do it as a person does."""
    find("#id_username").send_keys("admin")
    find("#id_password").send_keys("password")
    find("[type=submit]").click()
    find("#user-tools")


def test_who_signs_in_finds_the_admin_styled(
    browser: Chrome, live_server: LiveServer, find: Callable[[str], WebElement], admin_user: User
) -> None:
    browser.get(f"{live_server}/admin/")
    sign_in(find)
    header = find("#header")
    assert header.text.startswith("Webshop")
    assert header.value_of_css_property("background-color") == "rgba(23, 50, 63, 1)"


def test_an_order_gets_a_line_by_search_and_a_new_total(
    browser: Chrome,
    signed_in: LiveServer,
    find: Callable[[str], WebElement],
    save: Callable[[], str],
    order: Order,
    computer: Product,
) -> None:
    browser.get(f"{signed_in}/admin/shop/order/{order.pk}/change/")
    assert find(".field-total_amount .readonly").text == "471.98"

    find("#items-group .add-row a").click()
    find("#items-1 .select2-selection").click()
    find(".select2-search__field").send_keys("wooden")
    find(".select2-results__option--highlighted:only-child").click()
    assert find("#items-1 .select2-selection__rendered").text.endswith(
        "Handmade Wooden Computer (2 in stock)"
    )
    find("#id_items-1-quantity").send_keys("2")
    quantity = find("#id_items-0-quantity")
    quantity.clear()
    quantity.send_keys("1")
    assert save() == f"The order “Order {order.pk}” was changed successfully."

    row = [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "#result_list tbody tr td")]
    customer = "Deborah Bruen\ndeborah.bruen@example.com"
    assert row[1:] == ["Nov. 26, 2025", customer, "Completed", "974.69"]
    assert list(order.items.order_by("pk").values_list("product__name", "quantity", "price_per_unit")) == [
        ("Elegant Marble Gloves", 1, Decimal("235.99")),
        ("Handmade Wooden Computer", 2, Decimal("369.35")),
    ]


def choose(find: Callable[[str], WebElement], field: str, words: str) -> str:
    """Search in a field, take the one row that is found, and return its text there."""
    find(f"{field} .select2-selection").click()
    find(".select2-search__field").send_keys(words)
    found = find(".select2-results__option--highlighted:only-child")
    text = found.text
    found.click()
    return text


def warning_of(browser: Chrome, line: int, text: str) -> bool:
    """Wait for a line to say this of the stock, or to say nothing."""

    def says() -> bool:
        shown = browser.find_elements(By.CSS_SELECTOR, f"#items-{line} .short-of-stock")
        return "".join(warning.text for warning in shown) == text

    return waiting(browser).until(lambda _: says())


def test_an_order_is_placed_by_telephone(
    browser: Chrome,
    signed_in: LiveServer,
    find: Callable[[str], WebElement],
    ada: Customer,
    gloves: Product,
    computer: Product,
) -> None:
    """It says what is short before it is placed; and once it is, however often the button is pressed."""
    browser.get(f"{signed_in}/admin/shop/order/add/")
    assert choose(find, ".field-customer", "lovelace") == "Ada Lovelace, ada@example.com, 01067 Dresden"
    assert choose(find, "#items-0", "wooden") == "Handmade Wooden Computer (2 in stock)"
    quantity = find("#id_items-0-quantity")
    quantity.send_keys("2")
    assert warning_of(browser, 0, "")
    find("#items-group .add-row a").click()
    choose(find, "#items-1", "wooden")
    find("#id_items-1-quantity").send_keys("1")
    for line in (0, 1):
        assert warning_of(browser, line, "1 more than in stock")
    assert find("#id_items-1-quantity").get_attribute("aria-describedby") == "id_items-1-quantity_stock"
    choose(find, "#items-1", "gloves")
    for line in (0, 1):
        assert warning_of(browser, line, "")
    assert not find("#id_items-1-quantity").get_attribute("aria-describedby")
    ActionChains(browser).double_click(find("[name=_save]")).perform()
    find(".messagelist")
    order = Order.objects.get()
    assert (order.customer, str(order.total_amount)) == (ada, "974.69")
    assert Delivery.objects.get().ort == "Dresden"
    assert failures(browser) == []


def test_an_order_is_placed_by_telephone_by_keyboard_alone(
    browser: Chrome,
    signed_in: LiveServer,
    find: Callable[[str], WebElement],
    ada: Customer,
    gloves: Product,
    computer: Product,
) -> None:
    def press(*keys: str) -> None:
        ActionChains(browser).send_keys(*keys).perform()

    def tab_to(selector: str) -> None:
        """Press Tab until this has the focus."""
        for _ in range(60):
            if browser.switch_to.active_element in browser.find_elements(By.CSS_SELECTOR, selector):
                return
            press(Keys.TAB)
        pytest.fail(f"no Tab leads to {selector}")

    def search(field: str, words: str) -> None:
        """Open the choice of a row, type words, and take the one row that is found."""
        tab_to(f"{field} .select2-selection")
        press(Keys.ENTER)
        find(".select2-search__field")
        press(words)
        find(".select2-results__option--highlighted:only-child")
        press(Keys.ENTER)
        waiting(browser).until(lambda _: not browser.find_elements(By.CSS_SELECTOR, ".select2-search__field"))

    browser.get(f"{signed_in}/admin/shop/order/add/")
    search(".field-customer", "lovelace")
    search("#items-0", "wooden")
    tab_to("#id_items-0-quantity")
    press("1")
    tab_to("#items-group .add-row a")
    press(Keys.ENTER)
    find("#items-1")
    search("#items-1", "gloves")
    tab_to("#id_items-1-quantity")
    press("2")
    tab_to("[name=_save]")
    press(Keys.ENTER)
    find(".messagelist")
    order = Order.objects.get()
    assert (order.customer, str(order.total_amount)) == (ada, "841.33")
    assert failures(browser) == []


def test_a_line_that_wants_more_than_it_has_and_there_is(
    browser: Chrome, signed_in: LiveServer, find: Callable[[str], WebElement], order: Order
) -> None:
    """Two pieces are in the line already, 58 more are there."""
    browser.get(f"{signed_in}/admin/shop/order/{order.pk}/change/")
    quantity = find("#id_items-0-quantity")
    for number, text in (("60", ""), ("61", "1 more than in stock"), ("x", "")):
        quantity.clear()
        quantity.send_keys(number)
        assert warning_of(browser, 0, text)
    quantity.clear()
    quantity.send_keys("99")
    assert warning_of(browser, 0, "39 more than in stock")
    find("#id_items-0-DELETE").click()
    assert warning_of(browser, 0, "")
    Order.objects.update(status="cancelled")
    browser.get(f"{signed_in}/admin/shop/order/{order.pk}/change/")
    quantity = find("#id_items-0-quantity")
    quantity.send_keys("99")
    assert warning_of(browser, 0, "")
    assert failures(browser) == []


def failures(browser: Chrome) -> list[str]:
    """Return what the console says that failed since the last call."""
    entries = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]


def test_an_order_is_sent_by_a_button(
    browser: Chrome, signed_in: LiveServer, find: Callable[[str], WebElement], placed: Order
) -> None:
    """It saves the page, too; Enter in a field only does that."""
    url = f"{signed_in}/admin/shop/order/{placed.pk}/change/"
    browser.get(url)
    find("#id_carrier").send_keys("DHL", Keys.ENTER)
    assert find(".messagelist .success").text == f"The order “Order {placed.pk}” was changed successfully."
    browser.get(url)
    assert find(".field-status .readonly").text == "Pending"
    find("#id_tracking_number").send_keys("JJD1")
    find(".submit-row [name=_ship]").click()
    assert find(".messagelist .success").text == f"Order {placed.pk} is shipped now."
    assert find(".field-status .readonly").text == "Shipped"
    history = [
        row.text.splitlines()[0] for row in browser.find_elements(By.CSS_SELECTOR, ".history tbody th")
    ]
    assert history == ["Pending", "Changed Carrier.", "Shipped", "Changed Tracking number."]
    buttons = browser.find_elements(By.CSS_SELECTOR, ".submit-row input[type=submit]")
    assert [button.get_attribute("value") for button in buttons][-2:] == ["Complete", "Cancel"]
    delivery = Delivery.objects.get()
    assert (delivery.carrier, delivery.tracking_number) == ("DHL", "JJD1")


def test_a_payment_is_given_back_by_a_button(
    browser: Chrome, signed_in: LiveServer, find: Callable[[str], WebElement], placed: Order
) -> None:
    """It is no button of the form around it."""
    payment = Payment.objects.create(
        order=placed, provider="stripe", status="paid", amount=placed.total_amount, currency="EUR"
    )
    browser.get(f"{signed_in}/admin/shop/order/{placed.pk}/change/")
    find("#id_carrier").send_keys("DHL", Keys.ENTER)
    assert find(".messagelist .success").text == f"The order “Order {placed.pk}” was changed successfully."
    browser.get(f"{signed_in}/admin/shop/order/{placed.pk}/change/")
    find(".payments button").click()
    assert find(".messagelist .success").text == f"Payment {payment.pk} is refunding now."
    assert find(".payments tbody").text.split()[2:5] == ["Refunding", "1446.67", "EUR"]
    assert not browser.find_elements(By.CSS_SELECTOR, ".payments button")


def test_the_policy_stops_what_stands_in_a_page(browser: Chrome, signed_in: LiveServer) -> None:
    """It does apply; and the console, which the other tests look at, tells of it."""
    browser.get(f"{signed_in}/admin/")
    browser.execute_script(
        "const script = document.createElement('script'); script.textContent = 'window.evil = 1';"
        "document.body.append(script)"
    )
    assert browser.execute_script("return window.evil") is None
    assert len(stopped_by_policy(browser)) == 1


def test_a_customer_gets_a_password(
    browser: Chrome,
    signed_in: LiveServer,
    find: Callable[[str], WebElement],
    save: Callable[[], str],
) -> None:
    browser.get(f"{signed_in}/admin/shop/customer/add/")
    password = find("#id_new_password")
    assert password.get_attribute("type") == "password"
    find("#id_first_name").send_keys("John")
    find("#id_last_name").send_keys("Doe")
    find("#id_email").send_keys("John@Example.com")
    password.send_keys("correct horse battery")
    assert save() == "The customer “John Doe” was added successfully."
    customer = Customer.objects.get()
    assert customer.email == "john@example.com"
    assert customer.check_password("correct horse battery")


def test_the_lists_fit_a_laptop(browser: Chrome, signed_in: LiveServer, deborah: Customer) -> None:
    deborah.email = f"deborah.{'very.' * 6}bruen@example.com"
    deborah.save()
    Order.objects.create(customer=deborah, status="processing", total_amount=99999)
    Cart.objects.create(customer=deborah)
    browser.set_window_size(1366, 768)
    for name in ("order", "customer", "cart"):
        browser.get(f"{signed_in}/admin/shop/{name}/")
        table = browser.find_element(By.CSS_SELECTOR, "#changelist-form .results")
        assert table.get_property("scrollWidth") == table.get_property("clientWidth"), name


def uncovered(browser: Chrome, selector: str) -> bool:
    """Tell whether a click on the middle of this element would meet it."""
    return bool(
        browser.execute_script(
            "const box = arguments[0].getBoundingClientRect();"
            "const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];"
            "return arguments[0].contains(document.elementFromPoint(x, y))",
            browser.find_element(By.CSS_SELECTOR, selector),
        )
    )


def test_developers_see_the_toolbar(
    browser: Chrome,
    find: Callable[[str], WebElement],
    transactional_db: None,
    admin_user: User,
    tmp_path: Path,
) -> None:
    """It covers nothing until it is opened, and pages about errors have the style and script of Django."""
    browser.set_window_size(1366, 768)
    # The server has the hashers of settings.py, not those of the tests.
    admin_user.password = make_password("password", hasher="pbkdf2_sha256")
    admin_user.save()
    with developing(tmp_path) as shop:
        admin = f"http://127.0.0.1:{shop.port}/admin"
        browser.get(f"{admin}/")
        sign_in(find)

        def summary() -> str:
            return find("#summary").value_of_css_property("background-color")

        yellow = "rgba(255, 255, 204, 1)"
        browser.get(f"{admin}/nope/")
        assert summary() == yellow
        browser.get(f"{admin}/shop/order/?customer__password=x")
        assert summary() == yellow
        find("#traceback h2 a").click()
        assert find("#traceback_area").is_displayed()
        browser.get(f"{admin}/shop/order/")
        browser.delete_cookie("csrftoken")
        find("#logout-form button").click()
        assert summary() == yellow

        browser.get(f"{admin}/shop/order/")
        toolbar = browser.find_element(By.ID, "djDebugRoot").shadow_root
        wait = waiting(browser)
        wait.until(lambda _: toolbar.find_element(By.ID, "djShowToolBarButton").is_displayed())
        for selector in ("#logout-form button", ".object-tools .addlink", "#changelist-filter li a"):
            assert uncovered(browser, selector), selector
        toolbar.find_element(By.ID, "djShowToolBarButton").click()
        wait.until(lambda _: toolbar.find_element(By.CSS_SELECTOR, "#djdt-SQLPanel a").is_displayed())
        toolbar.find_element(By.CSS_SELECTOR, "#djdt-SQLPanel a").click()
        wait.until(lambda _: "django_session" in toolbar.find_element(By.CSS_SELECTOR, "#SQLPanel").text)


@pytest.mark.django_db
def test_production_has_no_toolbar(client: Client) -> None:
    assert "djDebug" not in client.get("/admin/login/").content.decode()
    assert client.get("/__debug__/render_panel/").status_code == 404
