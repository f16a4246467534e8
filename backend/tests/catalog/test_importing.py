"""Products from a spreadsheet, as jobs compare and apply them."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from shop.api.csv_text import csv_lines
from shop.catalog import importing, spreadsheet
from shop.catalog.importing import apply, begin, check_again
from shop.jobs.worker import PAUSES
from shop.models import Category, ImportLine, ImportPart, Job, Product, ProductImport, StockCorrection
from tests.support.jobs import do_jobs
from tests.support.races import at_once, meanwhile
from tests.support.spreadsheets import csv_file, repacked, xlsx_export, xlsx_file

pytestmark = pytest.mark.django_db

SHEET = "xl/worksheets/sheet1.xml"


@pytest.fixture
def staff(db: None) -> User:
    return User.objects.create_user("buyer")


def check(file: bytes, user_id: int = 0) -> ProductImport:
    product_import = begin(file=[file], name="products.csv", user_id=user_id)
    do_jobs()
    product_import.refresh_from_db()
    return product_import


def applied(product_import: ProductImport) -> ProductImport:
    assert apply(product_import.pk)
    do_jobs()
    product_import.refresh_from_db()
    return product_import


def counts(found: ProductImport) -> tuple[str, int, int, int, int]:
    return found.status, found.new, found.changed, found.unchanged, found.wrong


def rows() -> list[tuple[Any, ...]]:
    found = Product.objects.order_by("pk")
    return list(found.values_list("pk", "name", "category__category_name", "price", "stock", "description"))


@pytest.mark.parametrize("make", [csv_file, xlsx_file])
def test_new_products_prices_and_stock(gloves: Product, computer: Product, staff: User, make: Any) -> None:
    found = check(
        make(
            ["Product_ID ", "name", "category", "price", "stock", "description"],
            [gloves.pk, "Elegant Marble Gloves", "Home", "240.5", 60, ""],
            [computer.pk, "Handmade Wooden Computer", "Electronics", "369.35", 2, ""],
            [],
            ["", " Lamp ", "Home", "0.10", 0, "Two\nlines"],
        ),
        staff.pk,
    )
    assert counts(found) == ("ready", 1, 1, 1, 0)
    assert rows()[0][3:5] == (Decimal("235.99"), 58)
    assert [line.line for line in found.lines.order_by("line")] == [2, 5]
    assert counts(applied(found)) == ("done", 1, 1, 1, 0)
    lamp = Product.objects.get(name="Lamp")
    assert rows() == [
        (gloves.pk, "Elegant Marble Gloves", "Home", Decimal("240.50"), 60, ""),
        (computer.pk, "Handmade Wooden Computer", "Electronics", Decimal("369.35"), 2, ""),
        (lamp.pk, "Lamp", "Home", Decimal("0.10"), 0, "Two\nlines"),
    ]
    assert not ImportPart.objects.exists()
    log = LogEntry.objects.order_by("pk").values_list("user", "object_id", "object_repr", "change_message")
    assert list(log) == [
        (staff.pk, str(lamp.pk), "Lamp", f"{found}"),
        (
            staff.pk,
            str(gloves.pk),
            "Elegant Marble Gloves",
            f"{found}: price 235.99 → 240.50, stock 58 → 60",
        ),
    ]
    corrections = StockCorrection.objects.values_list("product", "before", "after", "reason", "username")
    assert list(corrections) == [(gloves.pk, 58, 60, str(found), staff.username)]


def test_a_column_that_is_not_there_stays(gloves: Product, computer: Product) -> None:
    found = check(csv_file(["price", "product_id"], ["1", computer.pk], ["235.99", gloves.pk]))
    assert counts(found) == ("ready", 0, 1, 1, 0)
    applied(found)
    computer.refresh_from_db()
    assert (computer.name, computer.price, computer.stock) == ("Handmade Wooden Computer", Decimal("1.00"), 2)


def test_what_is_changed_elsewhere_stays(gloves: Product) -> None:
    """Of a line that changes the price alone, the stock may be sold meanwhile."""
    found = check(csv_file(["product_id", "price", "stock"], [gloves.pk, "1.00", 58]))
    Product.objects.update(stock=57)
    assert applied(found).status == "done"
    gloves.refresh_from_db()
    assert (gloves.price, gloves.stock) == (Decimal("1.00"), 57)


AWKWARD = [
    ("=1+1", "-2\r\n+3;=4"),
    ("'=1", "\ttab"),
    ("Straße, “Größe” 5;=6", 'a "quoted"\nline;-7'),
    ("@home", "description " * 4000),
]


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("is_saved_again", [False, True])
def test_an_export_changes_nothing(home: Category, form: str, is_saved_again: bool) -> None:
    for name, description in AWKWARD:
        Product.objects.create(name=name, description=description, price="9.99", stock=1, category=home)
    columns = ("product_id", "name", "description", "price", "stock", "category__category_name")
    table = [
        ("product_id", "name", "description", "price", "stock", "category"),
        *Product.objects.values_list(*columns),
    ]
    if is_saved_again:  # a spreadsheet has line ends of its own
        table = [[str(cell).replace("\r\n", "\n") for cell in row] for row in table]
    found = check(csv_lines(table).encode() if form == "csv" else xlsx_export(table))
    assert (found.reason, found.problems) == ("", [])
    assert counts(found) == ("done", 0, 0, 4, 0)


def test_what_an_export_defused_is_taken_as_it_was_meant(home: Category) -> None:
    found = check(csv_file(["name", "category", "price"], ["'=1+1", "Home", "1"], ["'quoted'", "Home", "1"]))
    applied(found)
    assert [row[1] for row in rows()] == ["=1+1", "'quoted'"]


CELLS = [
    ("price", "1,50", "price: “1,50” is no number such as 1234.50, with no comma"),
    ("price", "1.234,50", "price: “1.234,50” is no number such as 1234.50, with no comma"),
    ("price", "NaN", "price: “NaN” is no number such as 1234.50, with no comma"),
    ("price", "Infinity", "price: “Infinity” is no number such as 1234.50, with no comma"),
    ("price", "1e3", "price: “1e3” is no number such as 1234.50, with no comma"),
    ("price", "1_000", "price: “1_000” is no number such as 1234.50, with no comma"),
    ("price", "١", "price: “١” is no number such as 1234.50, with no comma"),
    ("price", "", "price: “” is no number such as 1234.50, with no comma"),
    ("price", "1\0", "price: “1�” is no number such as 1234.50, with no comma"),
    ("price", "-0.01", "price: “-0.01” is not between 0.00 and 99999999.99"),
    ("price", "100000000", "price: “100000000” is not between 0.00 and 99999999.99"),
    ("price", "1.005", "price: “1.005” has more than two decimals"),
    ("stock", "1.5", "stock: “1.5” is no whole number such as 1234, with digits alone"),
    ("stock", "-1", "stock: “-1” is not between 0 and 2147483647"),
    ("stock", "2147483648", "stock: “2147483648” is not between 0 and 2147483647"),
    ("stock", "9" * 5000, f"stock: “{'9' * 49}…” is no whole number such as 1234, with digits alone"),
    ("stock", "", "stock: “” is no whole number such as 1234, with digits alone"),
    ("name", "", "name: it is empty"),
    ("name", "n" * 201, "name: it has 201 characters, more than 200"),
    ("name", "a\0b", "name: there is a null character in it"),
    ("description", "a\0b", "description: there is a null character in it"),
    ("category", "Nowhere", "category: there is no category “Nowhere”"),
    ("category", "home", "category: there is no category “home”"),
    ("category", "", "category: it is empty"),
    ("product_id", "99999", "product_id: there is no product 99999"),
    ("product_id", "x", "product_id: “x” is no whole number such as 1234, with digits alone"),
    ("product_id", "-1", "product_id: “-1” is not between 0 and 2147483647"),
]


def test_what_a_cell_cannot_be(gloves: Product) -> None:
    for column, cell, problem in CELLS:
        line = {"product_id": str(gloves.pk), "name": "New name"} | {column: cell}
        found = check(csv_file(line, line.values()))
        assert found.problems == [[2, problem]]
        assert counts(found) == ("refused", 0, 0, 0, 1), problem
        assert not apply(found.pk), problem
        assert Product.objects.get().name == "Elegant Marble Gloves", problem


def test_all_that_is_wrong_in_a_line_is_said(gloves: Product) -> None:
    found = check(
        csv_file(
            ["product_id", "price", "stock"],
            [gloves.pk, "x", "y"],
            [gloves.pk, "1", "1"],
            ["", "1", "1"],
            [gloves.pk, "1", "1", "1"],
        )
    )
    missing = "a new product needs one, and there is no such column"
    assert found.problems == [
        [
            2,
            "price: “x” is no number such as 1234.50, with no comma; "
            "stock: “y” is no whole number such as 1234, with digits alone",
        ],
        [3, f"product_id: line 2 is about product {gloves.pk}, too"],
        [4, f"name: {missing}; category: {missing}"],
        [5, "it has more cells than the first line has columns"],
    ]


def test_a_hundred_wrong_lines_are_named(home: Category) -> None:
    lines = [["", "A", "Home", "x"]] * 150
    found = check(csv_file(["product_id", "name", "category", "price"], *lines))
    assert (found.wrong, len(found.problems), found.read) == (150, 100, 150)


KNOWN = "There are: product_id, name, category, price, stock, description."
TOO_WIDE = "has more than 100 cells: save the table of products alone."
FILES = {
    "": "There is no line below the names of the columns.",
    "\r\n\r\n": "There is no line below the names of the columns.",
    "name,category,price\r\n": "There is no line below the names of the columns.",
    "product_id\r\n1\r\n": f"The file has no column but product_id, so it changes nothing. {KNOWN}",
    "name,cost\r\na,1\r\n": f"There is no column “cost” (the 2. of the first line). {KNOWN}",
    "na\0me\r\na\r\n": f"There is no column “na�me” (the 1. of the first line). {KNOWN}",
    "name,,price\r\na,,1\r\n": f"There is no column “” (the 2. of the first line). {KNOWN}",
    "name,Name\r\na,b\r\n": "The column name is there twice.",
    'name,price\r\n"a,1\r\n': "Line 2 is no CSV, and what follows cannot be read: unexpected end of data.",
    'name,price\r\n"a"b,1\r\n': "Line 2 is no CSV, and what follows cannot be read: ',' expected after '\"'.",
    f"name,price\r\na,1{',' * 99}\r\n": f"Line 2 {TOO_WIDE}",
    "%PDF-1.7": f"There is no column “%pdf-1.7” (the 1. of the first line). {KNOWN}",
}


def test_a_file_that_is_no_table_of_products() -> None:
    for text, reason in FILES.items():
        found = check(text.encode())
        assert (found.status, found.reason) == ("refused", reason), text


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("name,price\r\nTür,1\r\n".encode("latin-1"), spreadsheet.NOT_UTF_8),
        (b"\x89PNG\r\n\x1a\n\0\0\0", spreadsheet.NOT_UTF_8),
        (
            "name,price\r\nTür,1\r\n".encode("utf-16"),
            "The file is text in UTF-16: save it as “CSV UTF-8”, or as XLSX.",
        ),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            "The file is an old XLS, or has a password: save it as XLSX without one.",
        ),
        (b"PK\x03\x04 and no more", spreadsheet.NOT_XLSX),
        (xlsx_file(["name"], ["a"])[:-100], spreadsheet.NOT_XLSX),
    ],
)
def test_a_file_of_another_kind(file: bytes, reason: str) -> None:
    found = check(file)
    assert (found.status, found.reason) == ("refused", reason)


LONG_CELL = b"<sheetData><row><c t='str'><v>" + b"0" * 300_000 + b"</v></c></row>"


@pytest.mark.parametrize(
    ("member", "change", "reason"),
    [
        (SHEET, lambda sheet: sheet.replace(b"<sheetData>", LONG_CELL), spreadsheet.TOO_LARGE_A_SHEET),
        (SHEET, lambda _: b"<a>" + b"<b/>" * 3_000_000 + b"</a>", spreadsheet.TOO_LARGE_A_SHEET),
        ("xl/styles.xml", lambda _: b"<a>" + b"<b/>" * 60_000 + b"</a>", spreadsheet.TOO_LARGE_A_SHEET),
        (SHEET, lambda _: b"<a" + b" " * 1_000_000 + b"/>", spreadsheet.TOO_LARGE_A_SHEET),
        (SHEET, lambda _: b" " * 151 * 1024 * 1024, spreadsheet.TOO_LARGE_A_SHEET),
        (
            SHEET,
            lambda _: b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a>&c;</a>',
            spreadsheet.NOT_XLSX,
        ),
        (SHEET, lambda sheet: sheet.replace(b'r="2"', b'r="99999999999"'), spreadsheet.NOT_XLSX),
        (SHEET, lambda sheet: sheet.replace(b'r="B2"', b'r="XFD2"'), f"Line 2 {TOO_WIDE}"),
        (SHEET, lambda sheet: sheet[:-30], spreadsheet.NOT_XLSX),
        ("xl/workbook.xml", lambda _: b"<a/>", spreadsheet.NOT_XLSX),
        ("[Content_Types].xml", lambda _: b"", spreadsheet.NOT_XLSX),
    ],
)
def test_a_hostile_xlsx(gloves: Product, member: str, change: Any, reason: str) -> None:
    file = repacked(xlsx_file(["product_id", "price"], [gloves.pk, "1"]), {member: change})
    assert len(file) < 1_000_000
    found = check(file)
    assert (found.status, found.reason) == ("refused", reason)


def test_the_numbers_of_an_xlsx(gloves: Product, computer: Product) -> None:
    """A cell holds what was computed, to 15 digits; a formula that was never computed holds nothing."""
    found = check(
        xlsx_file(
            ["product_id", "price", "stock"], [float(gloves.pk), 0.1 + 0.2, 7.0], [computer.pk, "=1+1", 1]
        )
    )
    assert found.problems == [[3, "price: “” is no number such as 1234.50, with no comma"]]
    (line,) = found.lines.all()
    assert (line.price, line.stock) == (Decimal("0.30"), 7)
    for cell in (True, timezone.localdate(), 1e300, 1.005):
        found = check(xlsx_file(["product_id", "price"], [gloves.pk, cell]))
        assert found.wrong == 1, cell


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_spreadsheet_may_separate_cells_by_other_signs(gloves: Product, separator: str) -> None:
    lines = (["product_id", "price"], [gloves.pk, "2.50"])
    assert counts(check(csv_file(*lines, separator=separator))) == ("ready", 0, 1, 0, 0)
    found = check(csv_file(["product_id", "price"], [gloves.pk, "2,50"], separator=separator))
    assert found.problems == [[2, "price: “2,50” is no number such as 1234.50, with no comma"]]


def test_line_ends_may_be_mixed_and_cells_long(gloves: Product, computer: Product) -> None:
    long = "ü" * 32_767
    file = f"product_id;description\n{gloves.pk};{long}\r\n\r{computer.pk};'=1".encode("utf-8-sig")
    found = check(file)
    assert counts(found) == ("ready", 0, 2, 0, 0)
    changes = found.lines.order_by("line").values_list("product_id", "description")
    assert list(changes) == [(gloves.pk, long), (computer.pk, "=1")]


def test_more_lines_than_there_may_be(home: Category, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MOST_LINES", 1500)
    lines = [["A", "Home", "1"]] * 1501
    found = check(csv_file(["name", "category", "price"], *lines))
    assert (found.status, found.reason) == ("refused", "The file has more than 1,500 lines: split it.")
    assert counts(check(csv_file(["name", "category", "price"], *lines[1:]))) == ("ready", 1500, 0, 0, 0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"price": "5.00"}, "price: it was 235.99, and is 5.00 now"),
        ({"stock": 57}, "stock: it was 58, and is 57 now"),
        ({"name": "Gloves"}, "name: it was changed"),
        ({"description": "Warm"}, "description: it was changed"),
    ],
)
def test_somebody_was_faster(gloves: Product, computer: Product, change: Any, problem: str) -> None:
    """Nothing at all is written then; compared anew, it can be."""
    found = check(
        csv_file(
            ["product_id", "name", "price", "stock", "description"],
            [computer.pk, "C", "1", "1", "c"],
            [gloves.pk, "G", "2", "2", "g"],
        )
    )
    Product.objects.filter(pk=gloves.pk).update(**change)
    before = rows()
    applied(found)
    assert (found.status, found.problems, found.reason) == ("refused", [[3, problem]], importing.CONFLICT)
    assert rows() == before
    assert not apply(found.pk)
    assert check_again(found.pk)
    do_jobs()
    assert applied(found).status == "done"
    assert [row[1] for row in rows()] == ["G", "C"]


def test_what_was_deleted_meanwhile(gloves: Product, computer: Product, garden: Category) -> None:
    found = check(
        csv_file(
            ["product_id", "category"],
            [gloves.pk, "Garden"],
            [computer.pk, "Home"],
        )
    )
    Product.objects.filter(pk=computer.pk).delete()
    garden.delete()
    applied(found)
    assert found.problems == [
        [2, "category: it was deleted"],
        [3, f"product_id: product {computer.pk} was deleted"],
    ]
    assert Product.objects.get().category.category_name == "Home"


@pytest.mark.django_db(transaction=True)
def test_something_is_sold_while_it_is_applied(home: Category, gloves: Product) -> None:
    """The sale is committed first; then the new product, which was written already, is gone again."""
    lines = ([gloves.pk, "Elegant Marble Gloves", "1", 60, "Home"], ["", "Lamp", "1", 1, "Home"])
    found = check(csv_file(["product_id", "name", "price", "stock", "category"], *lines))
    assert apply(found.pk)
    meanwhile("UPDATE product SET stock = 57", do_jobs)
    found.refresh_from_db()
    assert (found.status, found.problems) == ("refused", [[2, "stock: it was 58, and is 57 now"]])
    assert [row[3:5] for row in rows()] == [(Decimal("235.99"), 57)]


@pytest.mark.django_db(transaction=True)
def test_of_two_who_import_the_same_one_is_refused(gloves: Product) -> None:
    files = [csv_file(["product_id", "price"], [gloves.pk, price]) for price in ("1", "2")]
    first, second = (check(file) for file in files)
    assert apply(first.pk)
    assert apply(second.pk)
    at_once(do_jobs, do_jobs)
    assert sorted(ProductImport.objects.values_list("status", flat=True)) == ["done", "refused"]


@pytest.mark.django_db(transaction=True)
def test_apply_pressed_twice_is_done_once(home: Category) -> None:
    found = check(csv_file(["name", "category", "price"], ["Lamp", "Home", "1"]))
    assert sorted(at_once(lambda: apply(found.pk), lambda: apply(found.pk))) == [False, True]
    importing.write.enqueue(found.pk)  # and so is a job that is run twice
    at_once(do_jobs, do_jobs)
    assert Product.objects.count() == 1


def test_the_number_of_statements_does_not_grow_with_the_lines(home: Category) -> None:
    numbers = []
    for lines in (10, 900):
        table = [[f"Lamp {number}", "Home", "1"] for number in range(lines)]
        with CaptureQueriesContext(
            connection,
        ) as queries:
            applied(check(csv_file(["name", "category", "price"], *table)))
        numbers.append(len(queries))
    assert numbers[0] == numbers[1]


def test_old_imports_are_pruned(home: Category) -> None:
    old, new = (check(csv_file(["name", "category", "price"], ["Lamp", "Home", "1"])) for _ in range(2))
    ProductImport.objects.filter(pk=old.pk).update(changed_at=timezone.now() - timedelta(days=8))
    call_command("prune", verbosity=0)
    assert list(ProductImport.objects.all()) == [new]
    assert ImportLine.objects.count() == ImportPart.objects.count() == 1


def test_a_failure_of_the_shop_is_said(gloves: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    found = check(csv_file(["product_id", "price"], [gloves.pk, "1"]))
    ProductImport.objects.update(changed=2)  # as nobody would
    applied(found)
    assert (found.status, found.reason) == ("failed", importing.FAILURE)
    assert rows()[0][3] == Decimal("235.99")
    assert Job.objects.get(task="shop.catalog.importing.write").error == "RuntimeError"


def test_an_import_whose_worker_is_killed_each_time_has_failed(gloves: Product) -> None:
    """What it is by then is left as it was, and nobody waits for it any more."""
    file = csv_file(["product_id", "price"], [gloves.pk, "1"])
    ready = check(file)
    assert apply(ready.pk)
    begin(file=[file], name="products.csv", user_id=0)
    Job.objects.update(attempts=len(PAUSES))
    do_jobs()
    assert set(ProductImport.objects.values_list("status", "reason")) == {("failed", importing.FAILURE)}
    assert Product.objects.get().price == Decimal("235.99")
    waited = Job.objects.exclude(attempts=len(PAUSES))
    assert set(waited.values_list("status", "error")) == {
        ("dead", "it failed each time, or its worker was killed")
    }
