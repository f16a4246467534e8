"""Spreadsheets as staff send them."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from openpyxl import Workbook

from shop.admin.xlsx_export import xlsx_parts


def csv_file(*rows: Iterable[Any], separator: str = ",", encoding: str = "utf-8-sig") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(rows)
    return text.getvalue().encode(encoding)


def xlsx_file(*rows: Iterable[Any]) -> bytes:
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in rows:
        sheet.append(list(row))
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def repacked(file: bytes, changes: Mapping[str, Callable[[bytes], bytes]]) -> bytes:
    """The same XLSX with other contents of some members."""
    packed = io.BytesIO()
    with ZipFile(io.BytesIO(file)) as old, ZipFile(packed, "w", ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(member, changes.get(member, bytes)(old.read(member)))
    return packed.getvalue()


def xlsx_export(table: Sequence[Iterable[Any]]) -> bytes:
    """As the admin exports it, where a text is never a formula."""
    return b"".join(xlsx_parts(table[0], table[1:]))
