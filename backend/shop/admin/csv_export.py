"""Rows as a CSV file for a spreadsheet, streamed: a million rows take no more memory than a thousand."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from itertools import batched
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone

ROWS_AT_ONCE = 2000

# Excel takes a CSV file for UTF-8 only when it begins with this.
BYTE_ORDER_MARK = "\ufeff"

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_response(name: str, queryset: QuerySet[Any], columns: Mapping[str, str]) -> StreamingHttpResponse:
    """Return the rows as a download named for the day; `columns` maps each header to what stands below it."""
    return StreamingHttpResponse(
        csv_parts(queryset, columns),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}-{timezone.localdate()}.csv"'},
    )


def csv_parts(queryset: QuerySet[Any], columns: Mapping[str, str]) -> Iterator[str]:
    """Give the header, then the rows, so many at once."""
    yield BYTE_ORDER_MARK + csv_lines([tuple(columns)])
    rows = queryset.values_list(*columns.values()).iterator(chunk_size=ROWS_AT_ONCE)
    for some_rows in batched(rows, ROWS_AT_ONCE, strict=False):
        yield csv_lines(some_rows)


def csv_lines(rows: Iterable[tuple[Any, ...]]) -> str:
    """Return these rows as lines of CSV."""
    text = io.StringIO()
    csv.writer(text).writerows([harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def harmless(cell: Any) -> Any:
    """Return the cell, or for text that a spreadsheet would run as a formula, the text behind a quote."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell
