"""Rows as an XLSX, row by row into a temporary file: of its rows few are in memory at once."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest
from django.utils import timezone

from shop.admin.csv_export import ROWS_AT_ONCE

MOST_ROWS = 20_000
"""So many rows an XLSX may have: it is written before its first byte is sent, a CSV while it is."""

TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def xlsx_response(
    model_admin: ModelAdmin,
    request: HttpRequest,
    name: str,
    queryset: QuerySet[Any],
    columns: Mapping[str, str],
) -> FileResponse | None:
    """Return the rows as a download, as csv_response does; for too many None, and the next page says so."""
    rows = queryset.values_list(*columns.values()).iterator(chunk_size=ROWS_AT_ONCE)
    return xlsx_of_rows(model_admin, request, name, columns, rows, queryset)


def xlsx_of_rows(
    model_admin: ModelAdmin,
    request: HttpRequest,
    name: str,
    header: Iterable[str],
    rows: Iterable[Iterable[Any]],
    counted: QuerySet[Any],
) -> FileResponse | None:
    """Return rows so, of which there are as many as a QuerySet has."""
    if counted.order_by().values("pk")[: MOST_ROWS + 1].count() > MOST_ROWS:
        text = f"An XLSX has at most {MOST_ROWS:,} rows here: export as CSV, or select less."
        model_admin.message_user(request, text, messages.ERROR)
        return None
    return FileResponse(
        xlsx_file(header, rows),
        content_type=TYPE,
        as_attachment=True,
        filename=f"{name}-{timezone.localdate()}.xlsx",
    )


def xlsx_file(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> IO[bytes]:
    """Return an XLSX of one sheet, in a file that is gone when it is closed."""
    from openpyxl import Workbook  # half a second, which other processes need not wait for

    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(list(header))
    for row in rows:
        sheet.append(list(cells(sheet, row)))
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    book.save(file)
    file.seek(0)
    return file


def cells(sheet: Any, row: Iterable[Any]) -> Iterator[Any]:
    """Yield a row as its sheet takes it: a text is a text, also one that looks like a formula or an error."""
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    for value in row:
        if not isinstance(value, str):
            yield value
            continue
        text = ILLEGAL_CHARACTERS_RE.sub("\N{REPLACEMENT CHARACTER}", value)
        if not text.startswith(("=", "#")):
            yield text
            continue
        cell = WriteOnlyCell(sheet, text)
        cell.data_type = "s"
        yield cell
