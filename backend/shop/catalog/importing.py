"""Products from a spreadsheet: a file is stored, compared by a job, looked at, and applied by another job.

Compared by lines, of which a thousand are in memory; applied in one transaction, in a fixed number of
statements, if everything is as the preview showed it.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from itertools import batched
from typing import IO, Any

from django.contrib.admin.models import ADDITION, CHANGE
from django.contrib.contenttypes.models import ContentType
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone
from django_tasks import TaskContext, task

from shop.catalog.models import Category, ImportLine, ImportPart, ImportStatus, Product, ProductImport
from shop.catalog.spreadsheet import Sheet, UnreadableError, open_sheet
from shop.jobs.worker import PAUSES, HopelessError, LostError, renew

MOST_LINES = 100_000
LINES_AT_ONCE = 1000
PART = 1024 * 1024

CONFLICT = "Somebody was faster: what these lines change is not as it was shown. Nothing was changed."
FAILURE = "The shop failed at it. Nothing was changed."

MOST_PROBLEMS = 100
"""So many wrong lines are named; of the others there is the number."""

IMPORT_LIFETIME = timedelta(days=7)
"""So long an import can be looked at."""

KINDS = ("new", "changed", "unchanged", "wrong")

# Nobody may delete a category meanwhile. Foreign keys are checked with each statement: at the end all wait.
BEGIN = """
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = 0;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT FROM category
WHERE category_id IN (SELECT category_id FROM import_line WHERE product_import_id = %(import)s)
ORDER BY category_id FOR KEY SHARE
"""

# In the order of their keys, so that nobody waits in a circle; a statement of its own, as the next one sees
# what was committed while the locks were waited for.
LOCK_PRODUCTS = """
SELECT FROM product
WHERE product_id IN (SELECT product_id FROM import_line WHERE product_import_id = %(import)s)
ORDER BY product_id FOR NO KEY UPDATE
"""

# What was seen is null where nothing is to change.
CONFLICTS = """
SELECT line, problem, count(*) OVER ()
FROM (
    SELECT line, concat_ws('; ',
        CASE WHEN import_line.product_id IS NOT NULL AND product.product_id IS NULL
            THEN 'product_id: product ' || import_line.product_id || ' was deleted' END,
        CASE WHEN import_line.category_id IS NOT NULL AND category.category_id IS NULL
            THEN 'category: it was deleted' END,
        CASE WHEN product.name <> seen_name THEN 'name: it was changed' END,
        CASE WHEN product.category_id <> seen_category_id THEN 'category: it was changed' END,
        CASE WHEN product.price <> seen_price
            THEN 'price: it was ' || seen_price || ', and is ' || product.price || ' now' END,
        CASE WHEN product.stock <> seen_stock
            THEN 'stock: it was ' || seen_stock || ', and is ' || product.stock || ' now' END,
        CASE WHEN product.description <> seen_description THEN 'description: it was changed' END
    ) AS problem
    FROM import_line
    LEFT JOIN product USING (product_id)
    LEFT JOIN category ON category.category_id = import_line.category_id
    WHERE product_import_id = %(import)s
) AS lines
WHERE problem <> ''
ORDER BY line LIMIT %(most)s
"""

UPDATE = """
UPDATE product
SET name = coalesce(import_line.name, product.name),
    category_id = coalesce(import_line.category_id, product.category_id),
    price = coalesce(import_line.price, product.price),
    stock = coalesce(import_line.stock, product.stock),
    description = coalesce(import_line.description, product.description)
FROM import_line
WHERE product_import_id = %(import)s AND import_line.product_id = product.product_id
AND product.name = coalesce(seen_name, product.name)
AND product.category_id = coalesce(seen_category_id, product.category_id)
AND product.price = coalesce(seen_price, product.price)
AND product.stock = coalesce(seen_stock, product.stock)
AND product.description = coalesce(seen_description, product.description)
"""

INSERT = """
WITH added AS (
    INSERT INTO product (name, category_id, price, stock, description)
    SELECT name, category_id, price, stock, description
    FROM import_line
    WHERE product_import_id = %(import)s AND product_id IS NULL
    ORDER BY line
    RETURNING product_id, name
), logged AS (
    INSERT INTO django_admin_log
        (action_time, user_id, content_type_id, object_id, object_repr, action_flag, change_message)
    SELECT statement_timestamp(), auth_user.id, %(type)s, product_id, name, %(add)s, %(title)s
    FROM added
    JOIN auth_user ON auth_user.id = %(user)s
)
SELECT count(*) FROM added
"""

LOG = """
INSERT INTO django_admin_log
    (action_time, user_id, content_type_id, object_id, object_repr, action_flag, change_message)
SELECT statement_timestamp(), auth_user.id, %(type)s, product_id,
    coalesce(import_line.name, product.name), %(change)s,
    %(title)s || ': ' || concat_ws(', ',
        'name' || left(seen_name, 0),
        'category' || left(seen_category_id::text, 0),
        'price ' || seen_price || ' → ' || import_line.price,
        'stock ' || seen_stock || ' → ' || import_line.stock,
        'description' || left(seen_description, 0)
    )
FROM import_line
JOIN product USING (product_id)
JOIN auth_user ON auth_user.id = %(user)s
WHERE product_import_id = %(import)s
"""

CORRECT = """
INSERT INTO stock_correction (product_id, before, after, reason, username)
SELECT product_id, seen_stock, import_line.stock, %(title)s, coalesce(username, '')
FROM import_line
LEFT JOIN auth_user ON auth_user.id = %(user)s
WHERE product_import_id = %(import)s AND seen_stock IS NOT NULL AND import_line.stock IS NOT NULL
"""


def begin(*, file: Iterable[bytes], name: str, user_id: int) -> ProductImport:
    """Store a file, given in pieces, and have it checked; return its import."""
    with transaction.atomic():
        product_import = ProductImport.objects.create(file_name=name[-200:], user_id=user_id)
        for number, content in enumerate(pieces(file)):
            ImportPart.objects.create(product_import=product_import, number=number, content=content)
        check.enqueue(product_import.pk)
    return product_import


def pieces(file: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces of at least PART, but for the last one."""
    held = bytearray()
    for some in file:
        held += some
        if len(held) >= PART:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def check_again(import_id: int) -> bool:
    """Have a refused import compared anew; tell whether it was one."""
    return step(import_id, ImportStatus.REFUSED, ImportStatus.CHECKING, check)


def apply(import_id: int) -> bool:
    """Have an import applied that is ready; tell whether it was."""
    return step(import_id, ImportStatus.READY, ImportStatus.APPLYING, write)


@transaction.atomic
def step(import_id: int, before: ImportStatus, after: ImportStatus, job: Any) -> bool:
    """Move an import from one status to another, and have a job go on with it; tell whether it was there."""
    if not moved(import_id, before, status=after):
        return False
    job.enqueue(import_id)
    return True


def moved(import_id: int, before: ImportStatus, **columns: Any) -> bool:
    """Write columns of an import that has this status; tell whether it had it."""
    columns["changed_at"] = timezone.now()
    return bool(ProductImport.objects.filter(pk=import_id, status=before).update(**columns))


@contextmanager
def failing(context: TaskContext, import_id: int, status: ImportStatus) -> Iterator[None]:
    """Say of an import that is in this status that it failed, unless to try again may help.

    The last time that its job is tried it has failed: whose worker is killed cannot say so afterwards.
    """
    if context.attempt > len(PAUSES):
        moved(import_id, status, status=ImportStatus.FAILED, reason=FAILURE)
        message = "it failed each time, or its worker was killed"
        raise HopelessError(message)
    try:
        yield
    except (LostError, OperationalError, InterfaceError):
        raise
    except Exception as error:
        moved(import_id, status, status=ImportStatus.FAILED, reason=FAILURE)
        raise HopelessError(type(error).__name__) from error


@task(takes_context=True)
def check(context: TaskContext, import_id: int) -> None:
    """Compare the lines of a file with the products, and write down what they would change."""
    with failing(context, import_id, ImportStatus.CHECKING):
        try:
            with tempfile.TemporaryFile() as file:
                parts = ImportPart.objects.filter(product_import=import_id).order_by("number")
                for part in parts.iterator(1):
                    file.write(part.content)
                compare(context, import_id, file)
        except UnreadableError as error:
            with transaction.atomic():
                renew(context)
                refused = {"status": ImportStatus.REFUSED, "reason": str(error)[:300]}
                moved(import_id, ImportStatus.CHECKING, **refused)


def compare(context: TaskContext, import_id: int, file: IO[bytes]) -> None:
    """Write down what each line changes or what is wrong in it, and at the end whether it may be applied.

    Raises UnreadableError, and LostError once another worker has the job.
    """
    with transaction.atomic():
        renew(context)
        ImportLine.objects.filter(product_import=import_id).delete()
        nothing = dict.fromkeys((*KINDS, "read", "total"), 0)
        moved(import_id, ImportStatus.CHECKING, **nothing, problems=[], reason="")
    sheet = open_sheet(file)
    with closing(sheet.rows):
        compare_rows(context, import_id, sheet)


def compare_rows(context: TaskContext, import_id: int, sheet: Sheet) -> None:
    """Do so with the rows of an open file."""
    from shop.catalog.import_lines import ProductResource, header_of  # takes long, and is needed here alone

    kinds: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
    problems: list[tuple[int, str]] = []
    read = 0
    rows = ((number, row) for number, row in sheet.rows if any(cell.strip() for cell in row))
    header = header_of(next(rows, (0, []))[1])
    resource = ProductResource(dict(Category.objects.values_list("category_name", "pk")))
    for some in batched(rows, LINES_AT_ONCE, strict=False):
        read += len(some)
        if read > MOST_LINES:
            message = f"The file has more than {MOST_LINES:,} lines: split it."
            raise UnreadableError(message)
        found = resource.compare(header, some)
        kinds += found.kinds
        problems += found.problems[: MOST_PROBLEMS - len(problems)]
        for line in found.lines:
            line.product_import_id = import_id
        with transaction.atomic():
            renew(context)
            ImportLine.objects.bulk_create(found.lines)
            so_far = {"read": read, "total": max(sheet.total, read), "problems": problems}
            if not moved(import_id, ImportStatus.CHECKING, **kinds, **so_far):
                raise LostError
    if not read:
        message = "There is no line below the names of the columns."
        raise UnreadableError(message)
    status = ImportStatus.READY if kinds["new"] or kinds["changed"] else ImportStatus.DONE
    if kinds["wrong"]:
        status = ImportStatus.REFUSED
    with transaction.atomic():
        renew(context)
        moved(import_id, ImportStatus.CHECKING, status=status, total=read)


class ConflictError(Exception):
    """Lines that somebody was faster at: the first ones with what is in their way, and how many there are."""

    def __init__(self, problems: Sequence[tuple[int, str]], number: int) -> None:
        super().__init__()
        self.problems = problems
        self.number = number


@task(takes_context=True)
def write(context: TaskContext, import_id: int) -> None:
    """Apply an import as a whole, if every product is as its preview showed it."""
    with failing(context, import_id, ImportStatus.APPLYING):
        try:
            with transaction.atomic():
                locked = ProductImport.objects.select_for_update(no_key=True)
                if product_import := locked.filter(pk=import_id, status=ImportStatus.APPLYING).first():
                    write_products(product_import)
        except ConflictError as conflict:
            refused = {"status": ImportStatus.REFUSED, "reason": CONFLICT}
            problems = {"problems": conflict.problems, "wrong": conflict.number}
            moved(import_id, ImportStatus.APPLYING, **refused, **problems)


def write_products(product_import: ProductImport) -> None:
    """Write what the lines of an import say; raise ConflictError if something is not as it was seen.

    The products that are changed come last: from then on who wants one of them waits for the end.
    """
    known: dict[str, Any] = {
        "import": product_import.pk,
        "most": MOST_PROBLEMS,
        "title": str(product_import),
        "user": product_import.user_id,
        "type": ContentType.objects.get_for_model(Product).pk,
        "add": ADDITION,
        "change": CHANGE,
    }
    with connection.cursor() as cursor:
        cursor.execute(BEGIN, known)
        refuse_conflicts(cursor, known)  # at once, where there are some already
        cursor.execute(INSERT, known)
        (new,) = cursor.fetchone()
        cursor.execute(LOG, known)
        ImportPart.objects.filter(product_import=product_import).delete()
        moved(product_import.pk, ImportStatus.APPLYING, status=ImportStatus.DONE)
        cursor.execute(LOCK_PRODUCTS, known)
        refuse_conflicts(cursor, known)
        cursor.execute(CORRECT, known)  # its foreign key would have to wait for who deletes a product
        cursor.execute(UPDATE, known)
        changed = cursor.rowcount
    if (new, changed) != (product_import.new, product_import.changed):
        message = "other lines were written than the preview counted"
        raise RuntimeError(message)


def refuse_conflicts(cursor: CursorWrapper, known: Mapping[str, Any]) -> None:
    """Raise ConflictError if somebody changed or deleted what the lines are about."""
    cursor.execute(CONFLICTS, known)
    if conflicts := cursor.fetchall():
        raise ConflictError([(line, problem) for line, problem, _ in conflicts], conflicts[0][2])


def prune_imports() -> dict[str, int]:
    """Delete imports that nobody has gone on with for long; return how many."""
    old = ProductImport.objects.filter(changed_at__lt=timezone.now() - IMPORT_LIFETIME)
    return {"imports": old.delete()[1].get("shop.ProductImport", 0)}
