"""The pages of the admin for everybody: what axe-core finds on a desktop by day, and on a phone by night."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import axe_selenium_python  # type: ignore[import-untyped]
import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse
from pytest_django.live_server_helper import LiveServer
from selenium.webdriver import Chrome

from shop.admin.packing import DOCUMENTS, document_url
from shop.admin.roles import ensure_roles
from shop.models import Cart, ImportLine, Order, Payment, Product, ProductImport
from shop.orders.invoices import make_invoices
from tests.admin.conftest import become

pytestmark = pytest.mark.slow

AXE = next(Path(axe_selenium_python.__file__).parent.rglob("axe.min.js")).read_text()
RUN = """
const done = arguments[0];
Promise.all(document.getAnimations().map(animation => animation.finished))
    .then(() => axe.run({preload: false, resultTypes: ["violations"]}))
    .then(({violations}) => violations.map(rule => [rule.id, ...rule.nodes.map(node => node.target.join())]))
    .then(done);
"""
type Wrong = dict[str, list[Any]]
"""What is wrong with a page in a look: what the console says, and rules with the elements that break them."""

LOOKS = {(1366, 1000): "light", (390, 844): "dark"}

OTHERS = ("index", "password_change", "password_change_done", "shop_order_to_pack")
"""The pages that are of no table."""


def pages_of(model: type[Model], user: User) -> Iterator[str]:
    """Yield the addresses of the list of a table, of a new row and of the first."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    request = RequestFactory().get("/")
    request.user = user
    may = admin.site.get_model_admin(model).get_model_perms(request)
    yield reverse(f"{name}_changelist")
    if may["add"]:
        yield reverse(f"{name}_add")
    if row := model._default_manager.order_by("pk").first():
        yield reverse(f"{name}_change", args=[row.pk])


@pytest.fixture
def at_work(order: Order, placed: Order, cart: Cart, gloves: Product) -> None:
    """Give every table a row."""
    Group.objects.create(name="Packing")
    make_invoices(orders=[placed.pk])
    ready = ProductImport.objects.create(file_name="products.csv", status="ready", new=1, changed=1)
    ImportLine.objects.create(product_import=ready, line=2, name="Lamp", price=1, stock=1)
    ImportLine.objects.create(product_import=ready, line=3, product_id=gloves.pk, seen_stock=58, stock=9)
    amount = placed.total_amount
    Payment.objects.create(order=order, provider="stripe", status="paid", amount=amount, currency="EUR")


@pytest.fixture
def look(browser: Chrome, signed_in: LiveServer) -> Iterator[Callable[[str], Wrong]]:
    """Return the function that tells what is wrong with a page for a superuser, in each look."""
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": AXE})

    def look_at(path: str) -> Wrong:
        wrong = {}
        browser.get(f"{signed_in}{path}")
        log = browser.get_log("browser")  # type: ignore[no-untyped-call]
        said = [entry["message"] for entry in log if entry["level"] == "SEVERE"]
        for (width, height), scheme in LOOKS.items():
            media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
            browser.set_window_size(width, height)
            if found := said + browser.execute_async_script(RUN):
                wrong[f"{path} {scheme}"] = found
        browser.get_log("browser")  # type: ignore[no-untyped-call]  # axe-core styles the page; the policy stops it
        return wrong

    yield look_at
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_pages_of_the_tables(look: Callable[[str], Wrong], admin_user: User, at_work: None) -> None:
    wrong: Wrong = {}
    for model in admin.site._registry:
        for path in pages_of(model, admin_user):
            wrong |= look(path)
    assert wrong == {}


def test_the_other_pages(look: Callable[[str], Wrong], at_work: None, placed: Order) -> None:
    """Those of no table, the documents, the list of the tables, and an order that may change."""
    wrong: Wrong = {}
    for name in OTHERS:
        wrong |= look(reverse(f"admin:{name}"))
    for name in DOCUMENTS:
        wrong |= look(document_url(name, [placed.pk]))
    wrong |= look(reverse("admin:app_list", args=["shop"]))
    for name in ("change", "history", "delete"):
        wrong |= look(reverse(f"admin:shop_order_{name}", args=[placed.pk]))
    assert wrong == {}


IMPORTS: list[dict[str, Any]] = [
    {"status": "checking", "read": 400, "total": 1000},
    {"status": "applying", "changed": 1000},
    {"status": "done", "changed": 1000},
    {
        "status": "refused",
        "reason": "Somebody changed one of these products.",
        "problems": [[2, "It is 5 now."]],
    },
    {"status": "failed", "wrong": 1, "problems": [[2, "Enter a whole number."]]},
]
"""Each way in which the page of an import looks, beside the one that is ready."""


def test_the_page_of_an_import(look: Callable[[str], Wrong]) -> None:
    wrong: Wrong = {}
    for columns in IMPORTS:
        row = ProductImport.objects.create(file_name="products.csv", **columns)
        wrong |= look(reverse("admin:shop_productimport_change", args=[row.pk]))
    assert wrong == {}


def test_an_order_for_who_packs(
    browser: Chrome, look: Callable[[str], Wrong], live_server: LiveServer, client: Client, placed: Order
) -> None:
    ensure_roles()
    packer = User.objects.create_user("packer", is_staff=True)
    packer.groups.add(Group.objects.get(name="Packing"))
    client.force_login(packer)
    become(browser, live_server, client)
    assert look(reverse("admin:shop_order_change", args=[placed.pk])) == {}


def test_the_pages_that_erase_and_delete_a_customer(
    look: Callable[[str], Wrong], order: Order, placed: Order
) -> None:
    """Those that ask, and those that say why not: for an open order, or for any."""
    wrong = look(reverse("admin:shop_customer_erase", args=[placed.customer_id]))
    wrong |= look(reverse("admin:shop_customer_delete", args=[placed.customer_id]))
    placed.delete()
    wrong |= look(reverse("admin:shop_customer_erase", args=[order.customer_id]))
    assert wrong == {}


def test_the_page_of_the_sign_in(browser: Chrome, look: Callable[[str], Wrong]) -> None:
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    assert look(reverse("admin:login")) == {}


def test_the_page_that_refuses(look: Callable[[str], Wrong]) -> None:
    path = reverse("admin:shop_mail_add")
    wrong = look(path)
    assert set(wrong) == {f"{path} light", f"{path} dark"}
    for found in wrong.values():
        (said,) = found
        assert "403 (Forbidden)" in said
