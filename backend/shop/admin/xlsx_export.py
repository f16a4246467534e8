"""Rows as an XLSX, streamed as a CSV is.

Not by openpyxl, which takes a minute of CPU for 100,000 lines of orders, and has to be through with all of
them before the first byte can be sent.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from itertools import batched, chain
from typing import Any
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from shop.admin.csv_export import ROWS_AT_ONCE
from shop.catalog.spreadsheet import LAST_ROW, LONGEST_CELL

MOST_ROWS = LAST_ROW - 1
"""So many rows a sheet holds below its header."""

TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

SCHEMAS = "http://schemas.openxmlformats.org"
MAIN = f'xmlns="{SCHEMAS}/spreadsheetml/2006/main"'
RELATIONS = f"{SCHEMAS}/officeDocument/2006/relationships"
PARTS = "application/vnd.openxmlformats-officedocument.spreadsheetml"
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'

SHEET = "xl/worksheets/sheet1.xml"

# What an XLSX needs around its sheet; the second format of cells is that of days.
FRAME = {
    "[Content_Types].xml": (
        f'<Types xmlns="{SCHEMAS}/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{PARTS}.sheet.main+xml"/>'
        f'<Override PartName="/{SHEET}" ContentType="{PARTS}.worksheet+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{PARTS}.styles+xml"/>'
        "</Types>"
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{SCHEMAS}/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>"
    ),
    "xl/workbook.xml": (
        f'<workbook {MAIN} xmlns:r="{RELATIONS}">'
        '<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets>'
        "</workbook>"
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{SCHEMAS}/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{RELATIONS}/styles" Target="styles.xml"/>'
        "</Relationships>"
    ),
    "xl/styles.xml": (
        f"<styleSheet {MAIN}>"
        '<numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy-mm-dd"/></numFmts>'
        '<fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
        '<fills count="2"><fill><patternFill patternType="none"/></fill>'
        '<fill><patternFill patternType="gray125"/></fill></fills>'
        '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
        '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
        '<cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
        '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/></cellXfs>'
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
        "</styleSheet>"
    ),
}

DAY_0 = date(1899, 12, 30)
NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def xlsx_response(
    model_admin: ModelAdmin,
    request: HttpRequest,
    name: str,
    queryset: QuerySet[Any],
    columns: Mapping[str, str],
) -> StreamingHttpResponse | None:
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
) -> StreamingHttpResponse | None:
    """Return rows so, of which there are as many as a QuerySet has."""
    if counted.order_by().values("pk")[: MOST_ROWS + 1].count() > MOST_ROWS:
        text = f"An XLSX has at most {MOST_ROWS:,} rows: export as CSV, or select less."
        model_admin.message_user(request, text, messages.ERROR)
        return None
    return StreamingHttpResponse(
        xlsx_parts(header, rows),
        content_type=TYPE,
        headers={"Content-Disposition": f'attachment; filename="{name}-{timezone.localdate()}.xlsx"'},
    )


class Outbox(bytearray):
    """What a ZipFile has written and nobody has taken yet."""

    def write(self, some: bytes) -> int:
        self += some
        return len(some)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        taken = bytes(self)
        self.clear()
        return taken


def xlsx_parts(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[bytes]:
    """Yield an XLSX of one sheet, ROWS_AT_ONCE at a time."""
    outbox = Outbox()
    with ZipFile(outbox, "w", ZIP_DEFLATED, compresslevel=1) as package:  # type: ignore[call-overload]
        for name, content in FRAME.items():
            package.writestr(name, XML + content)
        with package.open(SHEET, "w") as sheet:
            sheet.write(f"{XML}<worksheet {MAIN}><sheetData>".encode())
            for some in batched(chain([header], rows), ROWS_AT_ONCE, strict=False):
                sheet.write("".join(map(row_of, some)).encode())
                yield outbox.take()
            sheet.write(b"</sheetData></worksheet>")
    yield outbox.take()


def row_of(values: Iterable[Any]) -> str:
    return f"<row>{''.join(map(cell_of, values))}</row>"


def cell_of(value: Any) -> str:
    """Return a number, a day or a text as a cell: a text is never a formula."""
    if isinstance(value, str):
        text = escape(NO_XML.sub("\N{REPLACEMENT CHARACTER}", value[:LONGEST_CELL]))
        return f'<c t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
    if value is None:
        return "<c/>"
    if isinstance(value, date):
        return f'<c s="1"><v>{(value - DAY_0).days}</v></c>'
    return f"<c><v>{value}</v></c>"
