"""Texts as cells of a spreadsheet, in which it finds nothing to compute."""

import re
from typing import Any

# A spreadsheet computes a cell that begins with one of these signs, also behind blanks and quotes, which it
# may drop. Where decimals have a comma it splits lines at semicolons, whatever quotes stand amid a line: so
# one text can become several cells.
BEFORE_A_FORMULA = r"""(?=(?:"|[^\S\t\r\n])*[=+\-@＝＋－＠])"""
CELL_OF_A_FORMULA = re.compile(rf"^(?=[\t\r\n])|(^|[;,\t\r\n]){BEFORE_A_FORMULA}")
DEFUSED = re.compile(rf"^'(?=[\t\r\n])|(^|[;,\t\r\n])'{BEFORE_A_FORMULA}")


def harmless(cell: Any) -> Any:
    """Put an apostrophe before all in a text that a spreadsheet would take for a formula."""
    return CELL_OF_A_FORMULA.sub(r"\1'", cell) if isinstance(cell, str) else cell


def plain(cell: str) -> str:
    """Return the text of which harmless() made this cell; a cell that it did not make is the text itself."""
    text = DEFUSED.sub(r"\1", cell)
    return text if harmless(text) == cell else cell
