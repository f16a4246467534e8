"""What customers look for: products by words, by category and price, in the order of their choice.

PostgreSQL's text search finds the words. The functions of migration 0010 make a query of what was typed, and
the lexemes of a product for an index, which is written with the product.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import BooleanField, F, Lookup, OuterRef, QuerySet, Subquery, Value
from django.db.models.expressions import OrderBy, RawSQL
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual

from shop.catalog.models import Product, ProductSales, SearchWord, in_dictionary_order
from shop.database.statements import NEEDED, Select

LONGEST = 100
"""So many characters of words can be looked for."""

HITS = 1000
"""So many hits are ranked; of more, those that the index gives first."""

FEW = f"(10000 + 30 * least({NEEDED}, 1000))"
"""The keys of so many products are collected; of more, two indexes tell the first ones.

These four are for some 1,000,000 products: with far more, more pages take a second try.
"""

HANDFUL = f"(150 * sqrt({NEEDED}))"
"""So few of them are sorted: in any order the next one is likely to be far."""

REACH = f"(13000 * sqrt({NEEDED}))::bigint"
"""Among so many products in the order asked for, a page of more than a handful is looked for."""

FIRST = f"(950 * sqrt(least({NEEDED}, 1000)))::bigint"
"""Among so many, a page of more than FEW should be."""

LANGUAGES = {"de": "german", "en": "english"}
"""What PostgreSQL calls the values of SHOP_LANGUAGE."""

COLUMNS = ("product_id", "name", "price", "stock", "category_id")

LEXEMES = 'search_lexemes("product"."name", "product"."description", "product"."category_id")'

# PostgreSQL knows nothing of the query when it plans, so it goes by the index of the lexemes. If it did, it
# would read all products for words that it takes for frequent. Where work_mem cannot hold the pages of all
# hits, every product of many pages is read and its lexemes made anew: this much holds those of 1,000,000.
FOUND = """
WITH typed AS MATERIALIZED (
    SELECT search_query(%s, %s, false) AS query FROM set_config('work_mem', '16MB', true)
), hit AS MATERIALIZED (
    {hits}
), corrected AS MATERIALIZED (
    SELECT search_query(%s, %s, true) AS query WHERE NOT EXISTS (SELECT FROM hit) {and_without_filters}
), {name} AS MATERIALIZED (
    SELECT * FROM hit
    UNION ALL
    ({corrected_hits})
)
"""

# Keep only what is needed of each hit: there may be hundreds of thousands.
KEYS = "SELECT product_id FROM ({hits}) AS hit"
NUMBER = "SELECT count(*) AS number FROM ({hits}) AS hit HAVING count(*) > 0"

# An index that has the order asked for is read up to the end of the page, and each key looked up among those
# that are wanted: for that a product is neither read nor sorted. A page that this does not fill is sorted.
SIZE = """
, size AS MATERIALIZED (
    SELECT
        count(*) <= {few} AS is_few,
        count(*) <= least({few}, {handful}) AS is_handful,
        CASE WHEN count(*) <= {few} THEN {reach} END AS reach
    FROM keys
)
"""

# A product that is just being sold may be among the first ones without belonging there.
FILLS = f"(SELECT count(*) FROM {{some}}) - (SELECT count(*) FROM product_sales WHERE NOT main) >= {NEEDED}"  # noqa: S608

FOUND_IN_ORDER = f"""
, walked AS MATERIALIZED (
    {{walked}}
), outcome AS MATERIALIZED (
    SELECT (SELECT is_few FROM size) AND ({FILLS.format(some="walked")}) IS NOT TRUE AS is_short
), found AS (
    SELECT product_id FROM walked WHERE NOT (SELECT is_short FROM outcome)
    UNION ALL
    SELECT product_id FROM keys WHERE (SELECT is_short FROM outcome)
    UNION ALL
    ({{others}})
)
"""  # noqa: S608

# Hits that are many. Where the first ones do not fill the page, all are looked at.
MANY = """
, wanted AS MATERIALIZED (
    SELECT coalesce((SELECT query FROM corrected), (SELECT query FROM typed)) AS query
), early AS MATERIALIZED (
    {early}
), every AS MATERIALIZED (
    {every}
)
"""

IS_MANY = "NOT (SELECT is_few FROM size)"
IS_LATE = f"{IS_MANY} AND ({FILLS.format(some='early')}) IS NOT TRUE"

# IS TRUE keeps PostgreSQL from joining them, which it would do the other way round.
IS_KEY = (
    "(SELECT is_few AND NOT is_handful FROM size) AND (product_id IN (SELECT product_id FROM keys)) IS TRUE"
)
IS_HIT = """
NOT (SELECT is_handful FROM size) AND (product_id IN (
    SELECT product_id FROM keys WHERE (SELECT is_few FROM size)
    UNION ALL SELECT product_id FROM early
    UNION ALL SELECT product_id FROM every WHERE NOT {is_deep}
)) IS TRUE
"""

# What the filters alone keep from matching has no wrong letter.
AND_WITHOUT_FILTERS = f"AND (SELECT count(*) FROM product WHERE {LEXEMES} @@ (SELECT query FROM typed)) = 0"  # noqa: S608

LISTED = """
SELECT product_id, name, price::text, stock, category_name AS category__category_name
FROM {found} JOIN category USING (category_id)
ORDER BY {order}, product_id
"""

# One by one, and by themselves: PostgreSQL does not know how few they are, and joins what it can.
BY_KEY = f"""
    (
        SELECT product.* FROM {{found}} AS found, LATERAL (
            SELECT {", ".join(COLUMNS)} FROM product WHERE product.product_id = found.product_id LIMIT 1
        ) AS product
        OFFSET 0
    ) AS found
"""  # noqa: S608

# Without the categories, of which the name says nothing, and made once for all hits.
RANK = r"""
search_rank(name, (
    SELECT regexp_replace(
        coalesce((SELECT query FROM corrected), (SELECT query FROM typed))::text, ' \| ''#[0-9]+''', '', 'g'
    )::tsquery
), %s) DESC
"""

SORT_KEYS: dict[str, Any] = {
    "": F("product_id"),
    "price": F("price"),
    "name": in_dictionary_order("name"),
    "sold": F("quantity"),
}

ORDERS = {
    "price": "found.price",
    "-price": "found.price DESC",
    "name": 'name_order(name) COLLATE "C"',
    "-name": 'name_order(name) COLLATE "C" DESC',
    "-sold": "(SELECT sum(quantity) FROM product_sales AS sold WHERE sold.product_id = found.product_id) "
    "DESC NULLS LAST",
    "relevance": RANK,
}


def search(
    row: Mapping[str, str],
    *,
    words: str = "",
    categories: Sequence[str] = (),
    min_price: Decimal | None = None,
    max_price: Decimal | None = None,
    in_stock: bool = False,
    sort: str = "",
) -> QuerySet[Product] | Select:
    """Return the products that fit, in the order of `sort`: one of ORDERS, relevance only with words.

    `row` names COLUMNS, or category__category_name, by the keys of what is shown of each.
    """
    products = Product.objects.among(
        categories=categories, min_price=min_price, max_price=max_price, in_stock=in_stock
    )
    if words and sort in ("", "relevance"):
        return by_relevance(products, words, row)
    if words:
        priced = Product.objects.among(min_price=min_price, max_price=max_price)
        return by_words(products, words, sort, row, priced)
    is_indexed = sort.endswith("price") and len(set(categories)) <= 1
    if not is_indexed and (categories or min_price is not None or max_price is not None):
        # No index has the stock: each product is read.
        few = f"({FEW} / 3)" if in_stock else FEW
        return by_filters(products, sort, row, by_category=bool(categories), few=few)
    if sort != "-sold":
        return products.order_by(*in_order(sort))
    first, parameters = first_of(products, sort)
    return shown(
        row,
        LISTED.format(found=BY_KEY.format(found=f"({first})"), order=ORDERS[sort]),
        *parameters,
        counting=partial(number_of, products),
    )


def in_order(sort: str) -> tuple[OrderBy, str]:
    """Return what order_by() takes: of products or, by sales, of ProductSales."""
    return OrderBy(SORT_KEYS[sort.removeprefix("-")], descending=sort.startswith("-")), "product_id"


def shown(
    row: Mapping[str, str], sql: str, *parameters: Any, counting: Callable[[], tuple[str, list[Any]]]
) -> Select:
    """Return these rows of LISTED as JSON."""
    columns = ", ".join(f'"{name}" AS "{key}"' for key, name in row.items())
    sql = f"SELECT row_to_json(item)::text FROM (SELECT {columns} FROM ({sql}) AS rows) AS item"  # noqa: S608
    return Select(sql, list(parameters), counting)


def by_relevance(products: QuerySet[Product], words: str, row: Mapping[str, str]) -> Select:
    """Return those of the products that have all the words, or nearly, when no product has them."""
    found, parameters = found_by_words(products, words, "found", f"{{hits}} LIMIT {HITS}")
    return shown(
        row,
        found + LISTED.format(found="found", order=RANK),
        *parameters,
        LANGUAGES[settings.SHOP_LANGUAGE],
        counting=partial(number_of_hits, products, words),
    )


def by_words(
    products: QuerySet[Product], words: str, sort: str, row: Mapping[str, str], priced: QuerySet[Product]
) -> Select:
    """Return the same in another order; `priced` are the products at the prices asked for."""
    # Only an index of prices can leave out those of other prices.
    among = priced if sort.endswith("price") else Product.objects.all()
    is_deep = f"({NEEDED} < {FIRST}) IS NOT TRUE"
    keys, parameters = found_by_words(products, words, "keys", f"{KEYS} LIMIT {FEW} + 1")
    early, of_early = hits(products.filter(is_early(sort, among)), "wanted", f"{IS_MANY} AND NOT {is_deep}")
    every, of_every = hits(products, "wanted", IS_LATE)
    walked, of_walked = walk(among, sort, IS_HIT.format(is_deep=is_deep))
    sql = (
        keys
        + SIZE.format(few=FEW, handful=HANDFUL, reach=REACH)
        + MANY.format(early=KEYS.format(hits=early), every=KEYS.format(hits=every))
        + FOUND_IN_ORDER.format(
            walked=walked,
            others=f"SELECT product_id FROM every WHERE {is_deep}",  # noqa: S608
        )
        + LISTED.format(found=BY_KEY.format(found="found"), order=ORDERS[sort])
    )
    return shown(
        row,
        sql,
        *parameters,
        *of_early,
        *of_every,
        *of_walked,
        counting=partial(number_of_hits, products, words),
    )


def is_early(sort: str, among: QuerySet[Product]) -> RawSQL | Lookup[Any]:
    """Return the condition of being one of the FIRST of them; what is being sold may be one."""
    if sort == "-sold":
        alone = ProductSales.objects.alone().order_by("-quantity", "product").values("product")
        (sold, one), (spare, two) = (
            queryset.query.sql_with_params() for queryset in (alone, ProductSales.objects.spare())
        )
        # As any_of() does.
        sql = f"product_id = ANY (ARRAY(({sold} LIMIT {FIRST}) UNION ALL ({spare})))"
        return RawSQL(sql, [*one, *two], BooleanField())  # noqa: S611
    key = SORT_KEYS[sort.removeprefix("-")]
    sql, parameters = among.order_by(*in_order(sort)).values_list(key).query.sql_with_params()
    compare = GreaterThanOrEqual if sort.startswith("-") else LessThanOrEqual
    return compare(key, RawSQL(f"({sql} LIMIT 1 OFFSET {FIRST})", parameters))  # noqa: S611


def found_by_words(products: QuerySet[Product], words: str, name: str, shape: str) -> tuple[str, list[Any]]:
    """Return a WITH clause that has the columns of the products with these words under this name.

    `shape` is SQL around the hits; it must give no row when there are none, as typos are corrected then.
    """
    typed = [words, f"{LANGUAGES[settings.SHOP_LANGUAGE]}_stem"]
    found, found_parameters = hits(products, "typed")
    found = shape.format(hits=found)
    sql = FOUND.format(
        name=name,
        hits=found,
        # Compiling this twice would take longer than most searches.
        corrected_hits=found.replace("(SELECT query FROM typed)", "(SELECT query FROM corrected)"),
        and_without_filters=AND_WITHOUT_FILTERS if products.query.where else "",
    )
    return sql, [*typed, *found_parameters, *typed, *found_parameters]


def hits(products: QuerySet[Product], query: str, condition: str = "true") -> tuple[str, Sequence[Any]]:
    """Return SQL for COLUMNS of those of the products that this part of a WITH clause finds."""
    condition = f"{condition} AND {LEXEMES} @@ (SELECT query FROM {query})"  # noqa: S608
    found = products.filter(RawSQL(condition, [], BooleanField()))  # noqa: S611
    return found.values_list(*COLUMNS).query.sql_with_params()


def number_of_hits(products: QuerySet[Product], words: str) -> tuple[str, list[Any]]:
    """Return SQL that counts them, and its parameters."""
    found, parameters = found_by_words(products, words, "found", NUMBER)
    return f"{found} SELECT coalesce(sum(number), 0) FROM found", parameters  # noqa: S608


def keys_of(words: str, key: int | None) -> RawSQL:
    """Return the keys of the products with these words, and this key, to be used in a QuerySet."""
    found, parameters = found_by_words(Product.objects.all(), words, "found", KEYS)
    sql = f"{found} SELECT product_id FROM found UNION ALL SELECT %s"  # noqa: S608
    return RawSQL(f"({sql})", [*parameters, key])  # noqa: S611


def by_filters(
    products: QuerySet[Product], sort: str, row: Mapping[str, str], *, by_category: bool, few: str
) -> Select:
    """Return those of a category or at some prices in another order than the index that has these.

    `few` is SQL for how many keys are collected at most.
    """
    index = ("category_id", "price", "product_id") if by_category else ("price", "product_id")
    keys, parameters = products.order_by(*index).values("product_id").query.sql_with_params()
    walked, of_walked = walk(Product.objects.all(), sort, IS_KEY)
    first, of_first = first_of(products, sort, IS_MANY)
    sql = (
        f"WITH keys AS MATERIALIZED ({keys} LIMIT {few} + 1)"
        + SIZE.format(few=few, handful=HANDFUL, reach=REACH)
        + FOUND_IN_ORDER.format(walked=walked, others=first)
        + LISTED.format(found=BY_KEY.format(found="found"), order=ORDERS.get(sort, "product_id"))
    )
    return shown(row, sql, *parameters, *of_walked, *of_first, counting=partial(number_of, products))


def walk(among: QuerySet[Product], sort: str, condition: str) -> tuple[str, list[Any]]:
    """Return SQL for the keys of the first for which a condition on product_id holds, as far as REACH goes.

    By sales, those that are being sold come as well.
    """
    first, last = in_order(sort)
    rows = ProductSales.objects.alone() if sort == "-sold" else among
    ordered = rows.annotate(sort_key=first.expression).order_by(first, last).values_list("sort_key", last)
    inner, parameters = ordered.query.sql_with_params()
    direction = "DESC" if first.descending else "ASC"
    sql = f"""
        SELECT product_id FROM ({inner} LIMIT (SELECT reach FROM size)) AS step WHERE {condition}
        ORDER BY sort_key {direction}, product_id LIMIT {NEEDED}
    """  # noqa: S608
    if sort != "-sold":
        return sql, list(parameters)
    spare, of_spare = spare_keys(among, condition)
    return f"({sql}) UNION ALL ({spare})", [*parameters, *of_spare]


def spare_keys(products: QuerySet[Product], condition: str) -> tuple[str, Sequence[Any]]:
    """Return SQL for the keys of those that are being sold and for which a condition holds."""
    only = RawSQL(condition, [], BooleanField())  # noqa: S611
    spare = products.filter(only, pk__in=ProductSales.objects.spare())
    return spare.values("product_id").query.sql_with_params()


def first_of(products: QuerySet[Product], sort: str, condition: str = "true") -> tuple[str, list[Any]]:
    """Return SQL for the keys of the first of them in this order; by sales, of those being sold as well.

    `condition` is SQL that says of all whether they are wanted.
    """
    only = RawSQL(condition, [], BooleanField())  # noqa: S611
    if sort != "-sold":
        first = products.filter(only).order_by(*in_order(sort)).values("product_id")
        sql, parameters = first.query.sql_with_params()
        return f"{sql} LIMIT {NEEDED}", list(parameters)
    # Product by product, as PostgreSQL might take all of them to be faster than the next few. One that was
    # deleted may have left its sales.
    fits = Subquery(products.filter(pk=OuterRef("product")).values_list(Value(True)), BooleanField())
    sold = ProductSales.objects.alone().filter(only, fits).order_by(*in_order(sort)).values("product_id")
    sql, parameters = sold.query.sql_with_params()
    spare, of_spare = spare_keys(products, condition)
    return f"({sql} LIMIT {NEEDED}) UNION ALL ({spare})", [*parameters, *of_spare]


def number_of(products: QuerySet[Product]) -> tuple[str, list[Any]]:
    """Return SQL that counts them, and its parameters."""
    sql, parameters = products.values("pk").query.sql_with_params()
    return f"SELECT count(*) FROM ({sql}) AS counted", list(parameters)  # noqa: S608


RENEW = """
WITH name_word AS MATERIALIZED (
    SELECT DISTINCT word FROM product, name_words(name) AS word
), gone AS (
    DELETE FROM search_word
    WHERE NOT EXISTS (SELECT FROM name_word WHERE name_word.word = search_word.word)
    OR EXISTS (
        SELECT FROM search_word AS other
        WHERE other.word = search_word.word AND other.search_word_id < search_word.search_word_id
    )
)
INSERT INTO search_word (word)
SELECT word FROM name_word
WHERE NOT EXISTS (SELECT FROM search_word WHERE search_word.word = name_word.word)
"""


def renew_words() -> int:
    """Let the words to correct by be those of the products' names; return how many they are.

    It reads all names, which may take long. A word that comes back meanwhile is added by the next run.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = 0; {RENEW}")
    return SearchWord.objects.count()
