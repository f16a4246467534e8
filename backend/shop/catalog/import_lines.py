"""A line of a spreadsheet beside the product that it names, by the Resource of django-import-export.

It cleans cells, and collects what is wrong in each. It writes nothing: a statement for each row would take
minutes, so shop.catalog.importing writes all of them at once.
"""

# ruff: noqa: ARG002 - import-export hands its hooks more than each of them needs

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.utils.text import Truncator
from import_export.fields import Field
from import_export.instance_loaders import BaseInstanceLoader
from import_export.resources import ModelResource
from import_export.results import RowResult
from import_export.widgets import Widget

from shop.catalog.models import ImportLine, Product
from shop.catalog.spreadsheet import COLUMNS, LONGEST_CELL, UnreadableError
from shop.database.cells import harmless, plain
from shop.database.fields import AMOUNTS

NEEDED = ("name", "category", "price")
"""What a new product does not come without."""

LONGEST_NAME = 200
LARGEST_INTEGER = 2**31 - 1

MONEY = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
WHOLE = re.compile(r"-?[0-9]{1,20}")


class Compared(NamedTuple):
    """What some lines are about to write, what is wrong in others, and how many there are of each kind."""

    lines: list[ImportLine]
    problems: list[tuple[int, str]]
    kinds: Counter[str]


def header_of(row: Sequence[str]) -> list[str]:
    """Return the columns of a file, from its first row; raise UnreadableError if they are not right."""
    header = [cell.strip().casefold() for cell in row]
    while header and not header[-1]:
        header.pop()
    known = ", ".join(COLUMNS)
    for number, name in enumerate(header, 1):
        if name not in COLUMNS:
            message = (
                f"There is no column {quoted(name)} (the {number}. of the first line). There are: {known}."
            )
            raise UnreadableError(message)
        if name in header[: number - 1]:
            message = f"The column {name} is there twice."
            raise UnreadableError(message)
    if header == ["product_id"]:
        message = f"The file has no column but product_id, so it changes nothing. There are: {known}."
        raise UnreadableError(message)
    return header


def quoted(cell: str) -> str:
    """Return the beginning of a cell in quotes, with a sign for null characters: the database holds none."""
    shown = cell.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return f"“{Truncator(shown).chars(50)}”"


def text_of(cell: str) -> str:
    """Return the text in a cell; raise ValueError for what no text of the database can hold."""
    if "\0" in cell:
        message = "there is a null character in it"
        raise ValueError(message)
    return plain(cell).strip()


class NameWidget(Widget):  # type: ignore[misc]
    def clean(self, value: str, row: Any = None, **kwargs: Any) -> str:
        name = text_of(value)
        if not name:
            message = "it is empty"
            raise ValueError(message)
        if len(name) > LONGEST_NAME:
            message = f"it has {len(name)} characters, more than {LONGEST_NAME}"
            raise ValueError(message)
        return name


class DescriptionWidget(Widget):  # type: ignore[misc]
    def clean(self, value: str, row: Any = None, **kwargs: Any) -> str:
        return text_of(value)


class MoneyWidget(Widget):  # type: ignore[misc]
    def clean(self, value: str, row: Any = None, **kwargs: Any) -> Decimal:
        if not MONEY.fullmatch(value.strip()):
            message = f"{quoted(value)} is no number such as 1234.50, with no comma"
            raise ValueError(message)
        amount = Decimal(value.strip())
        lowest, highest = AMOUNTS
        if not lowest <= amount <= highest:
            message = f"{quoted(value)} is not between {lowest}.00 and {highest}"
            raise ValueError(message)
        cents = amount.quantize(Decimal("0.01"))
        if cents != amount:
            message = f"{quoted(value)} has more than two decimals"
            raise ValueError(message)
        return cents


class WholeWidget(Widget):  # type: ignore[misc]
    def clean(self, value: str, row: Any = None, **kwargs: Any) -> int:
        if not WHOLE.fullmatch(value.strip()):
            message = f"{quoted(value)} is no whole number such as 1234, with digits alone"
            raise ValueError(message)
        number = int(value)
        if not 0 <= number <= LARGEST_INTEGER:
            message = f"{quoted(value)} is not between 0 and {LARGEST_INTEGER}"
            raise ValueError(message)
        return number


class CategoryWidget(Widget):  # type: ignore[misc]
    def __init__(self, categories: Mapping[str, int]) -> None:
        """Take the keys of all categories by their names."""
        super().__init__()
        self.categories = categories

    def clean(self, value: str, row: Any = None, **kwargs: Any) -> int:
        name = value if value in self.categories else text_of(value)
        if name not in self.categories:
            message = f"there is no category {quoted(name)}" if name else "it is empty"
            raise ValueError(message)
        return self.categories[name]


def unix_lines(text: str) -> str:
    return re.sub("\r\n?", "\n", text)


def same_text(cell: str, text: str) -> bool:
    """Tell whether a cell is what an export makes of this text, perhaps saved again by a spreadsheet."""
    cell, text = unix_lines(cell), unix_lines(text)
    return cell in (text, harmless(text), text[:LONGEST_CELL])


class TextField(Field):  # type: ignore[misc]
    """A text, which stays as it is stored when the file has it as it was exported."""

    def save(self, instance: Product, row: Mapping[str, str], is_m2m: bool = False, **kwargs: Any) -> None:
        if instance._state.adding or not same_text(row[self.column_name], getattr(instance, self.attribute)):
            super().save(instance, row, is_m2m, **kwargs)


class Products(BaseInstanceLoader):  # type: ignore[misc]
    """The products that some lines name, fetched at once."""

    def __init__(self, resource: "ProductResource", rows: Sequence[Mapping[str, str]]) -> None:
        super().__init__(resource)
        cells = [row.get("product_id", "").strip() for row in rows]
        keys = [int(cell) for cell in cells if re.fullmatch("[0-9]{1,9}|1[0-9]{9}", cell)]
        self.products = Product.objects.in_bulk(keys)

    def get_instance(self, row: Mapping[str, str]) -> Product | None:
        """Return the product of a line, None for a new one; raise ValidationError if it cannot be found."""
        if not row.get("product_id", "").strip():
            return None
        try:
            key = WholeWidget().clean(row["product_id"])
        except ValueError as error:
            raise ValidationError({"product_id": str(error)}) from None
        if key not in self.products:
            raise ValidationError({"product_id": f"there is no product {key}"})
        return self.products[key]


class ProductResource(ModelResource):  # type: ignore[misc]
    """Compares lines with products. `import_row` says of one whether it is new, changed or as it was."""

    name = TextField("name", "name", NameWidget())
    price = Field("price", "price", MoneyWidget())
    stock = Field("stock", "stock", WholeWidget())
    description = TextField("description", "description", DescriptionWidget())

    class Meta:
        model = Product
        fields = ("name", "price", "stock", "description")
        skip_diff = True
        store_instance = True

    def __init__(self, categories: Mapping[str, int]) -> None:
        """Take the keys of all categories by their names."""
        super().__init__()
        self.fields["category"] = Field("category_id", "category", CategoryWidget(categories))
        self.lines: dict[int, int] = {}
        self.before: dict[str, Any] = {}

    def get_import_order(self) -> list[str]:
        return [name for name in COLUMNS if name in self.fields]

    def get_instance(self, instance_loader: Products, row: Mapping[str, str]) -> Product | None:
        return instance_loader.get_instance(row)

    def after_init_instance(
        self, instance: Product, new: bool, row: Mapping[str, str], **kwargs: Any
    ) -> None:
        """Keep what the product is now; raise ValidationError for a second line of it."""
        self.before = {field.attribute: getattr(instance, field.attribute) for field in self.fields.values()}
        number = kwargs["row_number"]
        if not new and (first := self.lines.setdefault(instance.pk, number)) != number:
            raise ValidationError({"product_id": f"line {first} is about product {instance.pk}, too"})

    def changes(self, instance: Product) -> dict[str, Any]:
        """Return the columns that a line changes, with what they become."""
        now = {name: getattr(instance, name) for name in self.before}
        return {name: value for name, value in now.items() if value != self.before[name]}

    def skip_row(
        self, instance: Product, original: None, row: Mapping[str, str], import_validation_errors: Any = None
    ) -> bool:
        """Skip a line that changes nothing."""
        return not instance._state.adding and not import_validation_errors and not self.changes(instance)

    def import_instance(self, instance: Product, row: Mapping[str, str], **kwargs: Any) -> None:
        """Put the cells into the product; raise ValidationError with what is wrong in them."""
        missing = [name for name in NEEDED if name not in row]
        if instance._state.adding and missing:
            raise ValidationError(
                dict.fromkeys(missing, "a new product needs one, and there is no such column")
            )
        super().import_instance(instance, row, **kwargs)

    def save_instance(self, instance: Product, is_create: bool, row: Any, **kwargs: Any) -> None:
        """Write nothing."""

    def line(self, instance: Product) -> ImportLine:
        """Return what the line that was compared last is to write."""
        if instance._state.adding:
            return ImportLine(**{name: getattr(instance, name) for name in self.before})
        changes = self.changes(instance)
        seen = {f"seen_{name}": self.before[name] for name in changes}
        return ImportLine(product_id=instance.pk, **changes, **seen)

    def compare(self, header: Sequence[str], rows: Sequence[tuple[int, Sequence[str]]]) -> Compared:
        """Compare some lines, each with its number, with the products that they name."""
        found = Compared([], [], Counter())
        named = [dict(zip(header, [*row, *[""] * (len(header) - len(row))], strict=False)) for _, row in rows]
        loader = Products(self, named)
        for (number, row), cells in zip(rows, named, strict=True):
            if any(cell.strip() for cell in row[len(header) :]):
                problems = ["it has more cells than the first line has columns"]
            else:
                result = self.import_row(cells, loader, row_number=number, dry_run=True)
                problems = problems_of(result)
            if problems:
                found.kinds["wrong"] += 1
                found.problems.append((number, "; ".join(problems)))
            elif result.is_skip():
                found.kinds["unchanged"] += 1
            else:
                found.kinds["new" if result.is_new() else "changed"] += 1
                line = self.line(result.instance)
                line.line = number
                found.lines.append(line)
        return found


def problems_of(result: RowResult) -> list[str]:
    """Return what is wrong in a line, by its columns; raise what went wrong in the shop itself."""
    for failure in result.errors:
        raise failure.error
    if not result.validation_error:
        return []
    found = result.validation_error.message_dict
    return [f"{'category' if name == 'category_id' else name}: {texts[0]}" for name, texts in found.items()]
