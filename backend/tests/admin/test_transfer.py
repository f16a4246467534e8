"""Products from a spreadsheet, and exports, in the pages of the admin."""

import io
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from openpyxl import load_workbook

from shop.admin import transfer
from shop.models import Category, Job, Product, ProductImport
from tests.admin.conftest import Clerk
from tests.admin.test_exports import download
from tests.support.jobs import do_jobs
from tests.support.spreadsheets import csv_file, xlsx_file

pytestmark = pytest.mark.django_db

ADD = "/admin/shop/productimport/add/"
LIST = "/admin/shop/productimport/"


def send(client: Client, file: bytes, name: str = "products.csv") -> str:
    """The address of the import's page."""
    answer = client.post(ADD, {"file": SimpleUploadedFile(name, file)})
    assert answer.status_code == 302, answer.content.decode()
    return str(answer.url)  # type: ignore[attr-defined]


def page(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_a_file_is_looked_at_and_applied(admin_client: Client, home: Category, gloves: Product) -> None:
    file = csv_file(
        ["product_id", "name", "category", "price", "stock"],
        [gloves.pk, "Elegant Marble Gloves", "Home", "240.00", 58],
        ["", "Lamp <b>", "Home", "12.50", 3],
    )
    url = send(admin_client, file)
    answer = admin_client.get(url)
    assert answer.headers["Refresh"] == "2"
    assert "It is compared with the products: 0 of about 0 lines." in answer.content.decode()
    do_jobs()
    answer = admin_client.get(url)
    assert "Refresh" not in answer.headers
    text = page(admin_client, url)
    assert "<td>1</td><td>1</td><td>0</td><td>0</td>" in text
    assert (
        f'<th scope="row">2</th><td>{gloves.pk} Elegant Marble Gloves</td><td>price</td>'
        "<td>235.99</td><td>240.00</td>" in text
    )
    assert (
        '<th scope="row">3</th><td>Lamp &lt;b&gt;</td><td>Home</td><td>12.50</td><td>3</td><td></td>' in text
    )
    answer = admin_client.post(f"{url.removesuffix('change/')}apply/", follow=True)
    assert "It is being applied." in answer.content.decode()
    assert answer.headers["Refresh"] == "2"
    do_jobs()
    assert "Done." in page(admin_client, url)
    assert set(Product.objects.values_list("name", "price")) == {
        ("Elegant Marble Gloves", Decimal("240.00")),
        ("Lamp <b>", Decimal("12.50")),
    }
    assert set(LogEntry.objects.values_list("user__username", "object_repr", "change_message")) == {
        ("admin", "Import 1".replace("1", url.split("/")[-3]), "Apply."),
        ("admin", "Elegant Marble Gloves", f"Import {url.split('/')[-3]}: price 235.99 → 240.00"),
        ("admin", "Lamp <b>", f"Import {url.split('/')[-3]}"),
    }


def test_what_is_wrong_is_shown_by_line(admin_client: Client, gloves: Product) -> None:
    url = send(admin_client, csv_file(["product_id", "price"], [gloves.pk, "1,50"]))
    do_jobs()
    text = page(admin_client, url)
    assert "Some lines are wrong, so nothing was changed." in text
    assert '<th scope="row">2</th><td>price: “1,50” is no number such as 1234.50, with no comma</td>' in text
    assert ">Apply</button>" not in text
    assert ">Check again</button>" in text


def test_what_was_pressed_twice(admin_client: Client, gloves: Product) -> None:
    url = send(admin_client, csv_file(["product_id", "price"], [gloves.pk, "1"]))
    do_jobs()
    apply = f"{url.removesuffix('change/')}apply/"
    admin_client.post(apply)
    answer = admin_client.post(apply, follow=True)
    number = ProductImport.objects.get().pk
    assert f"Somebody was faster: Import {number} is applying now.<" in answer.content.decode()
    assert Job.objects.filter(task="shop.catalog.importing.write").count() == 1


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, "This field is required."),
        ({"file": SimpleUploadedFile("a.csv", b"")}, "The submitted file is empty."),
        ({"file": SimpleUploadedFile("a.csv", b"12345678901")}, "It is larger than 0 MB."),
    ],
)
def test_a_file_that_is_not_taken(
    admin_client: Client, files: Any, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "LARGEST_FILE", 10)
    answer = admin_client.post(ADD, files)
    assert answer.status_code == 200
    assert problem in answer.content.decode()
    assert not ProductImport.objects.exists()


def test_what_is_needed_to_import(clerk: Clerk, gloves: Product, admin_client: Client) -> None:
    url = send(admin_client, csv_file(["product_id", "price"], [gloves.pk, "1"]))
    do_jobs()
    apply = f"{url.removesuffix('change/')}apply/"
    one = clerk("view_product", "change_product")
    for address in (ADD, LIST, url):
        assert one.get(address).status_code == 403, address
    assert one.post(apply).status_code == 403
    assert one.post(ADD, {"file": SimpleUploadedFile("a.csv", b"name")}).status_code == 403
    assert ADD not in one.get("/admin/shop/product/").content.decode()
    assert LIST not in one.get("/admin/").content.decode()
    assert ProductImport.objects.get().status == "ready"
    assert ADD in admin_client.get("/admin/shop/product/").content.decode()
    assert url in admin_client.get(LIST).content.decode()


def test_two_permissions_are_enough(clerk: Clerk, gloves: Product) -> None:
    client = clerk("add_product", "change_product")
    url = send(client, csv_file(["product_id", "price"], [gloves.pk, "1"]))
    do_jobs()
    client.post(f"{url.removesuffix('change/')}apply/")
    do_jobs()
    assert "Done." in page(client, url)


def test_the_pages_want_a_token_and_a_post(admin_client: Client, gloves: Product) -> None:
    url = send(admin_client, csv_file(["product_id", "price"], [gloves.pk, "1"]))
    apply = f"{url.removesuffix('change/')}apply/"
    assert admin_client.get(apply).status_code == 405
    admin_client.handler.enforce_csrf_checks = True
    assert admin_client.post(apply).status_code == 403
    assert admin_client.post(ADD).status_code == 403


@pytest.mark.parametrize("key", ["0", "x", "99999999999999999999"])
def test_an_import_that_is_not_there(admin_client: Client, key: str) -> None:
    assert admin_client.get(f"{LIST}{key}/change/", follow=True).redirect_chain == [("/admin/", 302)]
    assert admin_client.post(f"{LIST}{key}/apply/", follow=True).redirect_chain == [("/admin/", 302)]


def test_the_preview_is_shown_by_a_fixed_number_of_queries(admin_client: Client, home: Category) -> None:
    numbers = []
    for lines in (2, 300):
        products = Product.objects.bulk_create(
            Product(name=f"Lamp {number}", price=1, category=home) for number in range(lines)
        )
        table = [[product.pk, "", "Home", "2"] for product in products]
        file = csv_file(
            ["product_id", "description", "category", "price"],
            *table,
        )
        url = send(admin_client, file)
        do_jobs()
        with CaptureQueriesContext(connection) as queries:
            text = page(admin_client, url)
        numbers.append(len(queries))
    assert numbers[0] == numbers[1] == 6
    assert "The first 100:" in text
    assert text.count("<td>price</td>") == 100


# Exports


def test_the_export_of_products_imports_unchanged(
    admin_client: Client, home: Category, gloves: Product
) -> None:
    Product.objects.create(name="=1+1", description="#N/A\r\n-\x0b2", price="0.10", stock=0, category=home)
    for action in ("export", "export_xlsx"):
        answer = admin_client.post(
            "/admin/shop/product/",
            {"action": action, "_selected_action": list(Product.objects.values_list("pk", flat=True))},
        )
        file = download(answer)
        url = send(admin_client, file)
        do_jobs()
        text = page(admin_client, url)
        if action == "export":
            assert "Nothing to change: the products are as the file has them." in text
        else:  # an XLSX cannot hold all control characters
            assert text.count("<td>description</td>") == 1
            assert "<td>0</td><td>1</td><td>1</td><td>0</td>" in text
    sheet = load_workbook(io.BytesIO(file)).active
    assert sheet["B3"].data_type == "s"
    assert answer.headers["Content-Disposition"].endswith('.xlsx"')


def test_xlsx_files_are_taken(admin_client: Client, gloves: Product) -> None:
    url = send(admin_client, xlsx_file(["product_id", "price"], [gloves.pk, 1.5]), "a" * 300 + ".xlsx")
    do_jobs()
    assert "<td>235.99</td><td>1.50</td>" in page(admin_client, url)
