"""Products and orders as XLSX, and orders with their lines and addresses."""

import csv
import io
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zipfile import ZipFile

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from openpyxl import load_workbook

from shop.admin import xlsx_export
from shop.admin.csv_export import ROWS_AT_ONCE
from shop.models import Customer, Delivery, Order, OrderItem, Product
from tests.admin.conftest import Clerk

pytestmark = pytest.mark.django_db


def download(answer: Any) -> bytes:
    assert answer.status_code == 200
    return b"".join(answer.streaming_content)


def test_an_xlsx_has_no_end_of_rows(
    admin_client: Client, gloves: Product, computer: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx_export, "MOST_ROWS", 1)
    answer = admin_client.post(
        "/admin/shop/product/",
        {"action": "export_xlsx", "_selected_action": [gloves.pk, computer.pk]},
        follow=True,
    )
    assert "An XLSX has at most 1 rows: export as CSV, or select less." in answer.content.decode()


def test_an_xlsx_is_sent_while_its_rows_are_read() -> None:
    """Of the rows few are in memory, and the first bytes are there before the last row."""
    read = 0

    def rows() -> Iterator[tuple[Any, ...]]:
        nonlocal read
        for read in range(1, 3 * ROWS_AT_ONCE + 1):
            yield (read, "Straße", None, date(2025, 11, 26), Decimal("0.10"))

    parts = xlsx_export.xlsx_parts("abcde", rows())
    file = next(parts)
    assert file
    assert read < 1.5 * ROWS_AT_ONCE
    with ZipFile(io.BytesIO(b"".join([file, *parts]))) as package:
        assert package.testzip() is None
    sheet = load_workbook(io.BytesIO(b"".join(xlsx_export.xlsx_parts("abcde", rows())))).active
    assert sheet.max_row == 3 * ROWS_AT_ONCE + 1
    cells = [cell.value for cell in sheet[sheet.max_row]]
    assert cells == [3 * ROWS_AT_ONCE, "Straße", None, datetime(2025, 11, 26), 0.1]
    assert sheet["D2"].number_format == "yyyy-mm-dd"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1", "=1+1"),
        ("#N/A", "#N/A"),
        (" <b>&amp;]]>\"' ", " <b>&amp;]]>\"' "),
        ("a\0b\x0bc\uffffd", "a�b�c�d"),
        ("two\nlines\tand a tab 🧤", "two\nlines\tand a tab 🧤"),
        ("1" * 40_000, "1" * 32_767),
    ],
)
def test_a_text_in_an_xlsx(text: str, shown: str) -> None:
    sheet = load_workbook(io.BytesIO(b"".join(xlsx_export.xlsx_parts(["name"], [[text]])))).active
    assert (sheet["A2"].value, sheet["A2"].data_type) == (shown, "s")


HEADER = [
    *("order_id", "order_date", "status", "total_amount", "customer_id", "email"),
    *("first_name", "last_name", "strasse", "plz", "ort", "carrier", "tracking_number"),
    *("product_id", "product", "quantity", "price_per_unit", "subtotal"),
]


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_orders_with_lines_and_address(
    admin_client: Client, order: Order, computer: Product, jonas: Customer, form: str
) -> None:
    OrderItem.objects.create(order=order, product=computer, quantity=3, price_per_unit="0.10")
    Delivery.objects.create(
        order=order, first_name="Deborah", last_name="Bruen", strasse="-Weg 1", plz="01234", ort="Bonn"
    )
    empty = Order.objects.create(customer=jonas, order_date="2025-11-27")
    action = "export_lines" if form == "csv" else "export_lines_xlsx"
    with CaptureQueriesContext(connection) as queries:
        answer = admin_client.post(
            "/admin/shop/order/", {"action": action, "_selected_action": [order.pk, empty.pk]}
        )
        file = download(answer)
    assert len(queries) < 10
    if form == "csv":
        rows = list(csv.reader(io.StringIO(file.decode("utf-8-sig"))))
    else:
        sheet = load_workbook(io.BytesIO(file)).active
        rows = [
            ["" if cell is None else str(cell) for cell in row] for row in sheet.iter_rows(values_only=True)
        ]
        rows = [[cell.removesuffix(" 00:00:00") for cell in row] for row in rows]
    weg = "'-Weg 1" if form == "csv" else "-Weg 1"
    order_cells = [str(order.pk), "2025-11-26", "completed", "471.98", str(order.customer_id)]
    address = ["deborah.bruen@example.com", "Deborah", "Bruen", weg, "01234", "Bonn", "", ""]
    (gloves,) = Product.objects.filter(name="Elegant Marble Gloves")
    price = "0.10" if form == "csv" else "0.1"
    subtotal = "0.30" if form == "csv" else "0.3"
    assert rows == [
        HEADER,
        [
            *(str(empty.pk), "2025-11-27", "pending", "0.00" if form == "csv" else "0.0", str(jonas.pk)),
            *("jonas@example.com", *[""] * 12),
        ],
        [*order_cells, *address, str(gloves.pk), "Elegant Marble Gloves", "2", "235.99", "471.98"],
        [*order_cells, *address, str(computer.pk), "Handmade Wooden Computer", "3", price, subtotal],
    ]


def test_who_may_see_orders_may_export_them(clerk: Clerk, order: Order) -> None:
    client = clerk("view_order")
    data = {"action": "export_lines", "_selected_action": [order.pk]}
    assert b"Elegant Marble Gloves" in download(client.post("/admin/shop/order/", data))


def test_an_order_without_lines_is_a_row(
    admin_client: Client, order: Order, jonas: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts as a line does."""
    monkeypatch.setattr(xlsx_export, "MOST_ROWS", 2)
    selected = [order.pk, Order.objects.create(customer=jonas).pk]
    data = {"action": "export_lines_xlsx", "_selected_action": selected}
    rows = load_workbook(io.BytesIO(download(admin_client.post("/admin/shop/order/", data)))).active
    assert rows.max_row == 3
    selected.append(Order.objects.create(customer=jonas).pk)
    answer = admin_client.post("/admin/shop/order/", data, follow=True)
    assert "An XLSX has at most 2 rows" in answer.content.decode()
