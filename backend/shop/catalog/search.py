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
from django.db.models import BooleanField, F, Func, Lookup, QuerySet, Subquery
from django.db.models.expressions import RawSQL
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual

from shop.catalog.models import Product, ProductSales, SearchWord, in_dictionary_order
from shop.database.keys import any_of
from shop.database.statements import CHUNK, NEEDED, Select

LONGEST = 100
"""So many characters of words can be looked for."""

HITS = 1000
"""So many hits are ranked; of more, those that the index gives first."""

FEW = 12_000
"""So many hits are sorted at once; of more, the first ones are looked for in the order asked for."""

FIRST = 20_000
"""Among so many products, the first ones in that order."""

MORE = 4
"""If those do not fill a page of the default length but so many times as many are likely to, look there."""

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

# Sorting very many hits takes long, and so would looking at products in that order whether they are any: it
# is the indexes that say which of the first ones are. A second try is for pages of the default length, of
# words that one product in twenty to eighty has. Where neither has enough all hits are sorted.
SORTED = """
, wanted AS MATERIALIZED (
    SELECT coalesce((SELECT query FROM corrected), (SELECT query FROM typed)) AS query
), early AS MATERIALIZED (
    {early}
), more AS MATERIALIZED (
    {more}
), found AS (
    SELECT * FROM few WHERE {is_few}
    UNION ALL
    SELECT * FROM early WHERE {early_fills}
    UNION ALL
    SELECT * FROM more WHERE {more_fills}
    UNION ALL
    ({every})
)
"""

# What the filters alone keep from matching has no wrong letter.
AND_WITHOUT_FILTERS = f"AND (SELECT count(*) FROM product WHERE {LEXEMES} @@ (SELECT query FROM typed)) = 0"  # noqa: S608

# In another order those of a rare category or price stand far from each other. Up to so many are sorted,
# which takes about as long as to look for more of them along that order; not so far from the first page.
RARE = f"(3000 + 9 * least({NEEDED}, 2000))"

IS_RARE = "((SELECT count(*) FROM few) >= {rare}) IS NOT TRUE"

FILTERED = """
WITH few AS MATERIALIZED (
    {few} LIMIT {rare}
), found AS (
    SELECT * FROM few WHERE {is_rare}
    UNION ALL
    ({first})
)
"""

# Product by product, as PostgreSQL might take all of them to be faster than the next few.
WALKED = f"""
    (
        SELECT product.*
        FROM ({{sold}}) AS sold (product_id, quantity),
        LATERAL ({{product}}) AS product ({", ".join(COLUMNS)})
        ORDER BY quantity DESC, sold.product_id LIMIT {NEEDED}
    ) UNION ALL (
        {{spare}}
    )
"""  # noqa: S608

LISTED = """
SELECT product_id, name, price::text, stock, category_name AS category__category_name
FROM {found} JOIN category USING (category_id)
ORDER BY {order}, product_id
"""

# Without the categories, of which the name says nothing, and made once for all hits.
RANK = r"""
search_rank(name, (
    SELECT regexp_replace(
        coalesce((SELECT query FROM corrected), (SELECT query FROM typed))::text, ' \| ''#[0-9]+''', '', 'g'
    )::tsquery
), %s) DESC
"""

IS_FEW = "(SELECT count(*) FROM few) <= {few}"

# A product that is just being sold may be among the first ones without belonging there.
FILLS = f"(SELECT count(*) FROM {{first}}) - (SELECT count(*) FROM product_sales WHERE NOT main) >= {NEEDED}"  # noqa: S608

IS_LIKELY = f"(SELECT count(*) FROM early) * {{more}} >= greatest({{page}}, {NEEDED})"  # noqa: S608

SORTS: dict[str, Any] = {
    "": "product_id",
    "price": "price",
    "-price": "-price",
    "name": in_dictionary_order("name"),
    "-name": in_dictionary_order("name").desc(),
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
        return by_filters(products, sort, row, by_category=bool(categories))
    if sort != "-sold":
        return products.order_by(SORTS[sort], "product_id")
    first, parameters = first_of(products, sort)
    return shown(
        row,
        LISTED.format(found=f"({first}) AS found", order=ORDERS[sort]),
        *parameters,
        counting=partial(number_of, products),
    )


def shown(
    row: Mapping[str, str], sql: str, *parameters: Any, counting: Callable[[], tuple[str, list[Any]]]
) -> Select:
    """Return these rows of LISTED as JSON."""
    columns = ", ".join(f'"{name}" AS "{key}"' for key, name in row.items())
    sql = f"SELECT row_to_json(item)::text FROM (SELECT {columns} FROM ({sql}) AS rows) AS item"  # noqa: S608
    return Select(sql, list(parameters), counting)


def by_relevance(products: QuerySet[Product], words: str, row: Mapping[str, str]) -> Select:
    """Return those of the products that have all the words, or nearly, when no product has them."""
    found, parameters = found_by_words(products, words, "found", HITS)
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
    few, parameters = found_by_words(products, words, "few", FEW + 1)
    is_few = IS_FEW.format(few=FEW)
    early_fills, more_fills = FILLS.format(first="early"), FILLS.format(first="more")
    is_likely = IS_LIKELY.format(more=MORE, page=CHUNK)
    early, early_parameters = hits(products.filter(is_early(sort, priced, FIRST)), "wanted", f"NOT {is_few}")
    more, more_parameters = hits(
        products.filter(is_early(sort, priced, FIRST * MORE)),
        "wanted",
        f"NOT {is_few} AND NOT {early_fills} AND {is_likely}",
    )
    every, every_parameters = hits(
        products, "wanted", f"NOT {is_few} AND ({early_fills}) IS NOT TRUE AND ({more_fills}) IS NOT TRUE"
    )
    found = SORTED.format(
        early=early, more=more, every=every, is_few=is_few, early_fills=early_fills, more_fills=more_fills
    )
    return shown(
        row,
        few + found + LISTED.format(found="found", order=ORDERS[sort]),
        *parameters,
        *early_parameters,
        *more_parameters,
        *every_parameters,
        counting=partial(number_of_hits, products, words),
    )


def is_early(sort: str, priced: QuerySet[Product], number: int) -> Func | Lookup[Any]:
    """Return the condition of being one of the first so many products; what is being sold may be one."""
    if sort == "-sold":
        alone = ProductSales.objects.alone().order_by("-quantity", "product").values("product")
        return any_of("product_id", alone[:number].union(ProductSales.objects.spare(), all=True))
    # Only an index of prices can leave out those of other prices.
    by_price = sort.endswith("price")
    key, among = (F("price"), priced) if by_price else (in_dictionary_order("name"), Product.objects.all())
    last = among.order_by(SORTS[sort]).values_list(key)[number : number + 1]
    compare = GreaterThanOrEqual if sort.startswith("-") else LessThanOrEqual
    return compare(key, Subquery(last))


def found_by_words(
    products: QuerySet[Product],
    words: str,
    name: str,
    limit: int | None = None,
    *,
    shape: str = "{hits}",
) -> tuple[str, list[Any]]:
    """Return a WITH clause that has the columns of the products with these words under this name.

    `shape` is SQL around the hits; it must give no row when there are none, as typos are corrected then.
    """
    typed = [words, f"{LANGUAGES[settings.SHOP_LANGUAGE]}_stem"]
    found, found_parameters = hits(products, "typed", limit=limit)
    found = shape.format(hits=found)
    sql = FOUND.format(
        name=name,
        hits=found,
        # Compiling this twice would take longer than most searches.
        corrected_hits=found.replace("(SELECT query FROM typed)", "(SELECT query FROM corrected)"),
        and_without_filters=AND_WITHOUT_FILTERS if products.query.where else "",
    )
    return sql, [*typed, *found_parameters, *typed, *found_parameters]


def hits(
    products: QuerySet[Product], query: str, condition: str = "true", limit: int | None = None
) -> tuple[str, Sequence[Any]]:
    """Return SQL for COLUMNS of those of the products that this part of a WITH clause finds."""
    condition = f"{condition} AND {LEXEMES} @@ (SELECT query FROM {query})"  # noqa: S608
    found = products.filter(RawSQL(condition, [], BooleanField()))  # noqa: S611
    return found.values_list(*COLUMNS)[:limit].query.sql_with_params()


def number_of_hits(products: QuerySet[Product], words: str) -> tuple[str, list[Any]]:
    """Return SQL that counts them, and its parameters."""
    found, parameters = found_by_words(products, words, "found", shape=NUMBER)
    return f"{found} SELECT coalesce(sum(number), 0) FROM found", parameters  # noqa: S608


def keys_of(words: str, key: int | None) -> RawSQL:
    """Return the keys of the products with these words, and this key, to be used in a QuerySet."""
    found, parameters = found_by_words(Product.objects.all(), words, "found", shape=KEYS)
    sql = f"{found} SELECT product_id FROM found UNION ALL SELECT %s"  # noqa: S608
    return RawSQL(f"({sql})", [*parameters, key])  # noqa: S611


def by_filters(
    products: QuerySet[Product], sort: str, row: Mapping[str, str], *, by_category: bool
) -> Select:
    """Return those of a category or at some prices in another order than the index that has these."""
    index = ("category_id", "price", "product_id") if by_category else ("price", "product_id")
    few, parameters = products.order_by(*index).values_list(*COLUMNS).query.sql_with_params()
    is_rare = IS_RARE.format(rare=RARE)
    first, first_parameters = first_of(products, sort, f"NOT {is_rare}")
    filtered = FILTERED.format(few=few, first=first, rare=RARE, is_rare=is_rare)
    return shown(
        row,
        filtered + LISTED.format(found="found", order=ORDERS.get(sort, "product_id")),
        *parameters,
        *first_parameters,
        counting=partial(number_of, products),
    )


def first_of(products: QuerySet[Product], sort: str, condition: str = "true") -> tuple[str, list[Any]]:
    """Return SQL for COLUMNS of the first in this order; by sales, of those that are being sold as well.

    `condition` is SQL that says of all whether they are wanted.
    """
    only = RawSQL(condition, [], BooleanField())  # noqa: S611
    if sort != "-sold":
        first = products.filter(only).order_by(SORTS[sort], "pk").values_list(*COLUMNS)
        sql, parameters = first.query.sql_with_params()
        return f"{sql} LIMIT {NEEDED}", list(parameters)
    sold = ProductSales.objects.alone().filter(only).order_by("-quantity", "product")
    product = products.filter(pk=RawSQL("sold.product_id", [])).values_list(*COLUMNS)[:1]
    spare = products.filter(only, pk__in=ProductSales.objects.spare()).values_list(*COLUMNS)
    (sold_sql, one), (product_sql, two), (spare_sql, three) = (
        queryset.query.sql_with_params()
        for queryset in (sold.values_list("product", "quantity"), product, spare)
    )
    return WALKED.format(sold=sold_sql, product=product_sql, spare=spare_sql), [*one, *two, *three]


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
