"""Rows as a CSV file for a spreadsheet, streamed: a million rows take no more memory than a thousand."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import batched
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone

from shop.api.csv_text import csv_lines

ROWS_AT_ONCE = 2000

# Excel takes a CSV file for UTF-8 only when it begins with this.
BYTE_ORDER_MARK = "\ufeff"


def csv_response(name: str, queryset: QuerySet[Any], columns: Mapping[str, str]) -> StreamingHttpResponse:
    """Return the rows as a download named for the day; `columns` maps each header to what stands below it."""
    rows = queryset.values_list(*columns.values()).iterator(chunk_size=ROWS_AT_ONCE)
    return csv_of_rows(name, columns, rows)


def csv_of_rows(name: str, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> StreamingHttpResponse:
    """Return rows that are read as they are sent."""
    return StreamingHttpResponse(
        csv_parts(header, rows),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}-{timezone.localdate()}.csv"'},
    )


def csv_parts(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Yield the header, then the rows, ROWS_AT_ONCE at a time."""
    yield BYTE_ORDER_MARK + csv_lines([header])
    for some_rows in batched(rows, ROWS_AT_ONCE, strict=False):
        yield csv_lines(some_rows)
