"""Rows as a CSV file for a spreadsheet, streamed: a million rows take no more memory than a thousand."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import batched
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone

ROWS_AT_ONCE = 2000

# Excel takes a CSV file for UTF-8 only when it begins with this.
BYTE_ORDER_MARK = "\ufeff"

# A spreadsheet computes a cell that begins with one of these signs, also behind blanks and quotes, which it
# may drop. Where decimals have a comma it splits lines at semicolons, whatever quotes stand amid a line: so
# one text can become several cells.
CELL_OF_A_FORMULA = re.compile(r"""^(?=[\t\r\n])|(^|[;,\t\r\n])(?=(?:"|[^\S\t\r\n])*[=+\-@＝＋－＠])""")


def csv_response(name: str, queryset: QuerySet[Any], columns: Mapping[str, str]) -> StreamingHttpResponse:
    """Return the rows as a download named for the day; `columns` maps each header to what stands below it."""
    return StreamingHttpResponse(
        csv_parts(queryset, columns),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}-{timezone.localdate()}.csv"'},
    )


def csv_parts(queryset: QuerySet[Any], columns: Mapping[str, str]) -> Iterator[str]:
    """Yield the header, then the rows, ROWS_AT_ONCE at a time."""
    yield BYTE_ORDER_MARK + csv_lines([tuple(columns)])
    rows = queryset.values_list(*columns.values()).iterator(chunk_size=ROWS_AT_ONCE)
    for some_rows in batched(rows, ROWS_AT_ONCE, strict=False):
        yield csv_lines(some_rows)


def csv_lines(rows: Iterable[tuple[Any, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def harmless(cell: Any) -> Any:
    """Put an apostrophe before all in a text that a spreadsheet would take for a formula."""
    return CELL_OF_A_FORMULA.sub(r"\1'", cell) if isinstance(cell, str) else cell
