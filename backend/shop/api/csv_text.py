"""Rows as CSV (RFC 4180) in which a spreadsheet finds nothing to compute."""

import csv
import io
import re
from collections.abc import Iterable
from typing import Any

# A spreadsheet computes a cell that begins with one of these signs, also behind blanks and quotes, which it
# may drop. Where decimals have a comma it splits lines at semicolons, whatever quotes stand amid a line: so
# one text can become several cells.
CELL_OF_A_FORMULA = re.compile(r"""^(?=[\t\r\n])|(^|[;,\t\r\n])(?=(?:"|[^\S\t\r\n])*[=+\-@＝＋－＠])""")


def csv_lines(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def harmless(cell: Any) -> Any:
    """Put an apostrophe before all in a text that a spreadsheet would take for a formula."""
    return CELL_OF_A_FORMULA.sub(r"\1'", cell) if isinstance(cell, str) else cell
