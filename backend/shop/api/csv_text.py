"""Rows as CSV (RFC 4180) in which a spreadsheet finds nothing to compute."""

import csv
import io
from collections.abc import Iterable
from typing import Any

from shop.database.cells import harmless


def csv_lines(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([harmless(cell) for cell in row] for row in rows)
    return text.getvalue()
