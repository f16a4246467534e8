"""The words of the products that there are, and the indexes of the search.

They are made while others write, which is not all or nothing, but can be done again after a try that broke off.
"""

from typing import Any

from django.db import migrations

from shop.database.indexes import make_index

INDEXES = {
    "product_search": "product USING gin (search_lexemes(name, description, category_id))",
    "category_search": "category USING gin (search_lexemes(category_name, '', NULL))",
    "product_price": "product (price, product_id)",
    "product_category_price": "product (category_id, price, product_id)",
    "product_name_order": 'product (name_order(name) COLLATE "C", product_id)',
}

WORDS = """
INSERT INTO search_word (word)
SELECT DISTINCT name_word FROM product, name_words(name) AS name_word
WHERE NOT EXISTS (SELECT FROM search_word WHERE word = name_word)
"""


def make_indexes(_: Any, schema_editor: Any) -> None:
    for name, definition in INDEXES.items():
        make_index(schema_editor, name, definition)


def drop_indexes(_: Any, schema_editor: Any) -> None:
    for name in INDEXES:
        schema_editor.execute(f"DROP INDEX IF EXISTS {name}")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "0010_search")]

    operations = [
        migrations.RunSQL(WORDS, "DELETE FROM search_word"),
        migrations.RunPython(make_indexes, drop_indexes),
    ]
