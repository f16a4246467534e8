"""The rows of a file that staff send: CSV in UTF-8, or the first sheet of an XLSX, read row by row.

What it may do to the worker is bounded: a file of 20 MB may unpack to a thousand times as much.
"""

import csv
import io
from collections.abc import Generator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import IO, Any, NamedTuple
from xml.parsers import expat
from zipfile import ZipFile

COLUMNS = ("product_id", "name", "category", "price", "stock", "description")
"""The columns of a file, by their headers; their order does not matter."""

LARGEST_FILE = 20 * 1024 * 1024

LARGEST_UNPACKED = 150 * 1024 * 1024
MOST_ELEMENTS = 2_500_000
MOST_OTHERS = 50_000
LONGEST_TEXT = 200_000
PIECE = 64 * 1024
"""What an XLSX may unpack to: 100,000 lines of six cells have 2,000,000 elements of XML, in some 50 MB.

The others, styles above all, are objects in the memory of who reads the file, all of them.
"""

OF_CELLS = ("xl/worksheets/", "xl/sharedStrings")

LAST_ROW = 1_048_576
"""A sheet has no more rows; one that says so would have millions made up before it."""

MOST_CELLS = 100
"""Of a line. openpyxl makes up 16,383 empty ones before a single one in the last column."""

LONGEST_CELL = 32_767
"""So many characters of a text an XLSX can hold."""

SEPARATORS = ",;\t"

NOT_UTF_8 = "The file is neither an XLSX nor text in UTF-8: save it as XLSX, or as “CSV UTF-8”."
NOT_XLSX = "The file cannot be read as an XLSX: open it in a spreadsheet and save it again as XLSX or CSV."
TOO_LARGE_A_SHEET = "The XLSX holds far more than a table of products: save the table alone, as XLSX or CSV."


class UnreadableError(Exception):
    """A file that has no rows to read, or not to the end; says why in a sentence."""


class Sheet(NamedTuple):
    """The rows of a file, each with its number in a spreadsheet; there are about `total`.

    They are to be closed before the file is.
    """

    total: int
    rows: Generator[tuple[int, list[str]]]


def open_sheet(file: IO[bytes]) -> Sheet:
    """Open a file by what it holds, whatever its name is; raise UnreadableError, also while rows are read."""
    file.seek(0)
    beginning = file.read(8)
    file.seek(0)
    if beginning.startswith(b"PK\x03\x04"):
        return xlsx_sheet(file)
    if beginning.startswith(b"\xd0\xcf\x11\xe0"):
        message = "The file is an old XLS, or has a password: save it as XLSX without one."
        raise UnreadableError(message)
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")):
        message = "The file is text in UTF-16: save it as “CSV UTF-8”, or as XLSX."
        raise UnreadableError(message)
    total = sum(piece.count(b"\n") for piece in iter(lambda: file.read(PIECE), b""))
    file.seek(0)
    return Sheet(total, csv_rows(file))


def refuse_wide(number: int, row: Sequence[Any]) -> None:
    if len(row) > MOST_CELLS:
        message = f"Line {number} has more than {MOST_CELLS} cells: save the table of products alone."
        raise UnreadableError(message)


def csv_rows(file: IO[bytes]) -> Generator[tuple[int, list[str]]]:
    """Yield the rows of a CSV, whose first line shows what separates cells."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    number = 0
    try:
        first = text.readline(PIECE)
        text.seek(0)
        separator = max(SEPARATORS, key=first.count)
        for number, row in enumerate(csv.reader(text, delimiter=separator, strict=True), 1):
            refuse_wide(number, row)
            yield number, row
    except UnicodeDecodeError:
        raise UnreadableError(NOT_UTF_8) from None
    except csv.Error as error:
        message = f"Line {number + 1} is no CSV, and what follows cannot be read: {error}."
        raise UnreadableError(message) from None
    finally:
        text.detach()


def xlsx_sheet(file: IO[bytes]) -> Sheet:
    """Open the first sheet of an XLSX, of formulas what they last gave."""
    from openpyxl import load_workbook  # half a second, which other processes need not wait for

    try:
        check_package(file)
        sheet = load_workbook(file, read_only=True, data_only=True, keep_links=False).worksheets[0]
        total = sheet.max_row or 0
        sheet.reset_dimensions()
    except UnreadableError:
        raise
    except Exception:  # noqa: BLE001 - whatever openpyxl stumbles over in what may be anything
        raise UnreadableError(NOT_XLSX) from None
    return Sheet(min(total, LAST_ROW), xlsx_rows(sheet))


def xlsx_rows(sheet: Any) -> Generator[tuple[int, list[str]]]:
    rows = enumerate(sheet.iter_rows(values_only=True), 1)
    while True:
        try:
            number, row = next(rows)
        except StopIteration:
            return
        except Exception:  # noqa: BLE001 - as above
            raise UnreadableError(NOT_XLSX) from None
        if number > LAST_ROW:
            raise UnreadableError(NOT_XLSX)
        refuse_wide(number, row)
        yield number, [as_text(cell) for cell in row]


def as_text(cell: Any) -> str:
    """Return a cell as a CSV has it; of a number the 15 digits that a spreadsheet computes with."""
    match cell:
        case None:
            return ""
        case bool():
            return str(cell).upper()
        case float():
            return f"{Decimal(f'{cell:.15g}'):f}"
        case datetime() | date():
            return cell.isoformat()
    return str(cell)


def check_package(file: IO[bytes]) -> None:
    """Raise UnreadableError for an XLSX that would not fit into memory, or that declares entities."""
    with ZipFile(file) as package:
        members = package.infolist()
        if sum(member.file_size for member in members) > LARGEST_UNPACKED:
            raise UnreadableError(TOO_LARGE_A_SHEET)
        elements = 0
        for member in members:
            most = MOST_ELEMENTS if member.filename.startswith(OF_CELLS) else MOST_OTHERS
            with package.open(member) as content:
                elements += count_elements(content, min(most, MOST_ELEMENTS - elements))


def count_elements(content: IO[bytes], most: int) -> int:
    """Return how many elements an XML has; what is none has as many as stand before its first fault.

    Raises UnreadableError for more than so many, for a text or a tag that is too long, and for a DOCTYPE.
    """
    number = length = 0

    def element(*_: Any) -> None:
        nonlocal number, length
        number += 1
        length = 0
        if number > most:
            raise UnreadableError(TOO_LARGE_A_SHEET)

    def text(characters: str) -> None:
        nonlocal length
        length += len(characters)
        if length > LONGEST_TEXT:
            raise UnreadableError(TOO_LARGE_A_SHEET)

    def doctype(*_: Any) -> None:
        raise UnreadableError(NOT_XLSX)

    parser = expat.ParserCreate()
    parser.StartElementHandler = element
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = doctype
    given = 0
    try:
        while piece := content.read(PIECE):
            parser.Parse(piece)
            given += len(piece)
            if given - parser.CurrentByteIndex > LONGEST_TEXT + 2 * PIECE:
                raise UnreadableError(TOO_LARGE_A_SHEET)
        parser.Parse(b"", True)
    except expat.ExpatError:
        pass
    return number
