"""The rules of the tables hold in the database itself, whoever writes: each is broken here once, in SQL."""

import datetime
import threading
import time
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import DatabaseError, DataError, IntegrityError, connection, models, transaction
from django.db.models import RestrictedError
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from shop.models import Cart, CartItem, Category, Customer, Order, OrderItem, Product

pytestmark = pytest.mark.django_db


def sql(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def test_the_tables_have_the_names_of_the_specification() -> None:
    tables = {model._meta.db_table for model in apps.get_app_config("shop").get_models()}
    totals = {"product_sales", "customer_spending", "category_stock"}
    selling = {"delivery", "order_history", "order_note", "idempotency_key", "refresh_token", "request_count"}
    search = {"search_word"}
    desk = {"stock_correction"}
    work = {"job", "mail", "payment", "payment_event", "invoice"}
    transfer = {"product_import", "import_part", "import_line"}
    specified = {"customer", "category", "product", "order", "order_item", "cart", "cart_item"}
    assert tables - totals - selling - search - work - desk - transfer == specified
    assert tables <= set(connection.introspection.table_names(include_views=True))


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_migrations_are_complete_and_go_back_and_forth() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
    keys = (
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype IN ('f', 'u') ORDER BY 1"
    )
    before = sql(keys)
    for target in (["0001"], ["0002"], ["zero"], []):
        call_command("migrate", "shop", *target, verbosity=0)
    assert sql(keys) == before


KEY_COLUMNS = "(customer_id, key, request_digest, answer)"
REFRESH_TOKEN = (
    "INSERT INTO refresh_token "
    "(token_hash, family, customer_id, user_id, password_digest, signed_in_at, issued_at) "
    "VALUES ('x', gen_random_uuid(), {}, {}, '', now(), now())"
)

IMPORT = "INSERT INTO product_import (file_name, problems) VALUES ('a.csv', '[]')"
MAIL = "INSERT INTO mail ({}, kind, recipients, subject, text, html) VALUES (0, 'placed', '', '', '', '')"


def payment(**columns: str) -> str:
    """SQL that makes two payments of each order, with these columns."""
    row = {
        "order_id": "order_id",
        "provider": "'test'",
        "status": "'failed'",
        "amount": "1",
        "currency": "'EUR'",
        "key": "gen_random_uuid()",
    } | columns
    return (
        f"INSERT INTO payment ({', '.join(row)}) SELECT {', '.join(row.values())} "
        'FROM "order", generate_series(1, 2)'
    )


def invoice(**columns: str) -> str:
    """SQL that makes an invoice of each order, with these columns."""
    row = {
        "number": "1",
        "order_id": "order_id",
        "cancels_id": "NULL",
        **dict.fromkeys(("made_on", "supplied_on", "order_date"), "current_date"),
        **dict.fromkeys(("seller", "address", "currency"), "''"),
        "lines": "'[]'",
        "vat_rate": "19",
        "net": "1.00",
        "vat": "0.19",
        "gross": "1.19",
    } | columns
    return f'INSERT INTO invoice ({", ".join(row)}) SELECT {", ".join(row.values())} FROM "order"'


TAKES_BACK = {"net": "-1", "vat": "-0.19", "gross": "-1.19"}


BROKEN = {
    "product_price_not_negative": "UPDATE product SET price = -0.01",
    "product_stock_not_negative": "UPDATE product SET stock = -1",
    "order_status_known": "UPDATE \"order\" SET status = 'lost'",
    "order_total_amount_not_negative": 'UPDATE "order" SET total_amount = -0.01',
    "order_item_quantity_positive": "UPDATE order_item SET quantity = 0",
    "order_item_price_per_unit_not_negative": "UPDATE order_item SET price_per_unit = -0.01",
    "order_order_date_in_range": "UPDATE \"order\" SET order_date = '10000-01-01'",
    "cart_last_updated_in_range": "UPDATE cart SET last_updated = 'infinity'",
    "product_sales_revenue_number": "ALTER TABLE product_sales DISABLE TRIGGER product_sales_refuse; "
    "UPDATE product_sales SET revenue = 'NaN'",
    "cart_item_quantity_positive": "UPDATE cart_item SET quantity = 0",
    "customer_email_lower_case": "UPDATE customer SET email = 'Deborah.Bruen@example.com'",
    "customer_email_unique": "INSERT INTO customer (first_name, last_name, email, password) "
    "SELECT first_name, last_name, email, password FROM customer",
    "category_category_name_unique": "INSERT INTO category (category_name) VALUES ('Home')",
    "cart_customer_unique": "INSERT INTO cart (customer_id) SELECT customer_id FROM cart",
    "cart_item_cart_product_unique": "INSERT INTO cart_item (cart_id, product_id, quantity) "
    "SELECT cart_id, product_id, 1 FROM cart_item",
    "product_category_id_fk": "INSERT INTO product (name, price, category_id) VALUES ('Lamp', 1, 0)",
    "stock_correction_product_id_fk": "INSERT INTO stock_correction "
    "(product_id, before, after, reason, username) VALUES (0, 1, 2, 'found', 'ann')",
    "order_customer_id_fk": 'INSERT INTO "order" (customer_id) VALUES (0)',
    "order_item_order_id_fk": "UPDATE order_item SET order_id = 0",
    "order_item_product_id_fk": "UPDATE order_item SET product_id = 0",
    "cart_customer_id_fk": "UPDATE cart SET customer_id = 0",
    "cart_item_cart_id_fk": "UPDATE cart_item SET cart_id = 0",
    "cart_item_product_id_fk": "UPDATE cart_item SET product_id = 0",
    "delivery_order_id_fk": "INSERT INTO delivery (order_id, first_name, last_name, strasse, plz, ort) "
    "VALUES (0, 'A', 'B', 'C', 'D', 'E')",
    "order_history_status_known": "INSERT INTO order_history (order_id, status, by) "
    "SELECT order_id, 'lost', 'staff' FROM \"order\"",
    "order_history_by_known": "INSERT INTO order_history (order_id, status, by) "
    "SELECT order_id, 'pending', 'nobody' FROM \"order\"",
    "order_history_order_id_fk": "INSERT INTO order_history (order_id, status, by) "
    "VALUES (0, 'pending', 'staff')",
    "order_note_order_id_fk": "INSERT INTO order_note (order_id, text, username) VALUES (0, 'A', 'clerk')",
    "idempotency_key_customer_key_unique": f"INSERT INTO idempotency_key {KEY_COLUMNS} "
    "SELECT customer_id, 'one', '', '{}' FROM customer, generate_series(1, 2)",
    "idempotency_key_customer_id_fk": f"INSERT INTO idempotency_key {KEY_COLUMNS} "
    "VALUES (0, 'one', '', '{}')",
    "delivery_payment_provider_known": "INSERT INTO delivery "
    "(order_id, first_name, last_name, strasse, plz, ort, payment_provider) "
    "SELECT order_id, 'A', 'B', 'C', 'D', 'E', 'cash' FROM \"order\"",
    "job_slot_unique": "INSERT INTO job (task, arguments, queue, slot) "
    "SELECT 'a', '{}', 'default', 'noon' FROM generate_series(1, 2)",
    "job_status_known": "INSERT INTO job (task, arguments, queue, status) "
    "VALUES ('a', '{}', 'default', 'lost')",
    "mail_customer_id_fk": MAIL.format("customer_id"),
    "mail_order_id_fk": MAIL.format("order_id"),
    "payment_order_id_fk": "INSERT INTO payment (order_id, provider, amount, currency, key) "
    "VALUES (0, 'test', 1, 'EUR', gen_random_uuid())",
    "payment_provider_known": payment(provider="'cash'"),
    "payment_status_known": payment(status="'lost'"),
    "payment_amount_not_negative": payment(amount="-0.01"),
    "payment_key_unique": payment(status="'failed'", key="gen_random_uuid()")
    + "; UPDATE payment SET key = (SELECT min(key::text)::uuid FROM payment)",
    "payment_event_unique": "INSERT INTO payment_event (provider, event, kind, reference) "
    "SELECT 'stripe', 'evt_1', 'paid', 'cs_1' FROM generate_series(1, 2)",
    "product_import_status_known": "INSERT INTO product_import (file_name, status, problems) "
    "VALUES ('a.csv', 'lost', '[]')",
    "import_part_product_import_id_fk": "INSERT INTO import_part (product_import_id, number, content) "
    "VALUES (0, 0, '')",
    "import_part_number_unique": f"{IMPORT}; INSERT INTO import_part (product_import_id, number, content) "
    "SELECT product_import_id, 1, '' FROM product_import, generate_series(1, 2)",
    "import_line_product_import_id_fk": "INSERT INTO import_line (product_import_id, line) VALUES (0, 2)",
    "import_line_line_unique": f"{IMPORT}; INSERT INTO import_line (product_import_id, line) "
    "SELECT product_import_id, 2 FROM product_import, generate_series(1, 2)",
    "invoice_number_positive": invoice(number="0"),
    "invoice_adds_up": invoice(net="1.01"),
    "invoice_cancellation_takes_back": invoice(number="2", cancels_id="1"),
    "invoice_order_unique": f"{invoice()}; {invoice(number='2')}",
    "invoice_cancels_unique": f"{invoice()}; {invoice(number='2', cancels_id='1', **TAKES_BACK)}; "
    + invoice(number="3", cancels_id="1", order_id="-order_id", **TAKES_BACK),
    "invoice_order_id_fk": invoice(order_id="0"),
    "invoice_cancels_id_fk": invoice(number="2", cancels_id="7", **TAKES_BACK),
    "refresh_token_of_customer_or_user": REFRESH_TOKEN.format(1, 1),
    "refresh_token_customer_id_fk": REFRESH_TOKEN.format(0, "NULL"),
}


NOT_PYTHON = [
    ("product_price_not_negative", "UPDATE product SET price = 'NaN'"),
    ("order_total_amount_not_negative", "UPDATE \"order\" SET total_amount = 'NaN'"),
    ("order_item_price_per_unit_not_negative", "UPDATE order_item SET price_per_unit = 'NaN'"),
    *(
        ("order_order_date_in_range", f"UPDATE \"order\" SET order_date = '{date}'")
        for date in ("10000-01-01", "0001-12-31 BC", "infinity", "-infinity")
    ),
    *(
        ("cart_last_updated_in_range", f"UPDATE cart SET last_updated = '{time}'")
        for time in ("10000-01-01 00:00:00+00", "0001-12-31 23:59:59+00 BC", "infinity", "-infinity")
    ),
]


def broken_by(statement: str) -> str | None:
    """Return the name of the rule that refuses a statement."""
    try:
        with transaction.atomic():
            sql(statement)
    except IntegrityError as refusal:
        return str(refusal.__cause__.diag.constraint_name)  # type: ignore[union-attr]
    return None


def test_what_python_cannot_hold_is_refused(order: Order, cart: Cart) -> None:
    for name, statement in NOT_PYTHON:
        assert broken_by(statement) == name, statement


@pytest.mark.parametrize("column", ["product.price", "order.total_amount", "order_item.price_per_unit"])
@pytest.mark.parametrize("amount", ["Infinity", "-Infinity"])
def test_no_amount_is_infinite(column: str, amount: str, order: Order) -> None:
    table, name = column.split(".")
    with pytest.raises(DataError, match="numeric field overflow"), transaction.atomic():
        sql(f'UPDATE "{table}" SET {name} = %s', amount)


@pytest.mark.parametrize(
    ("date", "time"),
    [("0001-01-01", "0001-01-01 00:00:00+00"), ("9999-12-31", "9999-12-31 23:59:59.999999+00")],
)
def test_the_lists_show_the_first_and_the_last_day(
    date: str, time: str, order: Order, cart: Cart, admin_client: Client
) -> None:
    sql('UPDATE "order" SET order_date = %s', date)
    sql("UPDATE cart SET last_updated = %s", time)
    for path in ("order/", f"order/{order.pk}/change/", "cart/", f"cart/{cart.pk}/change/"):
        assert admin_client.get(f"/admin/shop/{path}").status_code == 200


def test_a_broken_rule_is_refused_by_its_name(order: Order, cart: Cart) -> None:
    sql("SET CONSTRAINTS ALL IMMEDIATE")
    for name, statement in BROKEN.items():
        assert broken_by(statement) == name


def test_every_rule_of_the_tables_is_broken_above() -> None:
    rules = sql(
        "SELECT conname FROM pg_constraint WHERE conrelid = ANY(%s::regclass[]) AND contype IN ('c','u','f')",
        [f'"{model._meta.db_table}"' for model in apps.get_app_config("shop").get_models()],
    )
    assert {name for (name,) in rules} == set(BROKEN)


FORM_MESSAGES = [
    (Product(name="Lamp", price=-1), "The price must be between 0.00 and 99999999.99."),
    (Product(name="Lamp", price=1, stock=-1), "The stock must not be negative."),
    (Product(name="Lamp", price=10**8), "The price must be between 0.00 and 99999999.99."),
    (Order(total_amount=-1), "The total amount must be between 0.00 and 99999999.99."),
    (OrderItem(quantity=0, price_per_unit=1), "The quantity must be at least 1."),
    (OrderItem(quantity=1, price_per_unit=-1), "The price must be between 0.00 and 99999999.99."),
    (CartItem(quantity=0), "The quantity must be at least 1."),
    (Customer(email="DEBORAH.BRUEN@example.com"), "A customer with this e-mail address exists already."),
    (Category(category_name="Home"), "A category with this name exists already."),
]


@pytest.mark.parametrize(("row", "message"), FORM_MESSAGES)
def test_a_broken_rule_has_a_message_for_forms(
    row: models.Model, message: str, deborah: Customer, home: Category
) -> None:
    with pytest.raises(ValidationError) as refusal:
        row.validate_constraints()
    assert refusal.value.messages == [message]


def test_a_second_cart_has_a_message_for_forms(cart: Cart) -> None:
    with pytest.raises(ValidationError) as refusal:
        Cart(customer=cart.customer).validate_unique()
    assert refusal.value.messages == ["This customer has a cart already."]


def test_defaults_stand_in_the_database(deborah: Customer, home: Category) -> None:
    sql('INSERT INTO "order" (customer_id) VALUES (%s)', deborah.pk)
    order = Order.objects.get()
    assert (order.status, order.order_date) == ("pending", timezone.localdate())
    assert order.total_amount == Decimal(0)
    sql("INSERT INTO product (name, price, category_id) VALUES ('Lamp', 1, %s)", home.pk)
    product = Product.objects.get()
    assert (product.stock, product.description) == (0, "")
    sql("INSERT INTO cart (customer_id) VALUES (%s)", deborah.pk)
    assert timezone.now() - Cart.objects.get().last_updated < datetime.timedelta(minutes=1)
    sql("INSERT INTO customer (first_name, last_name, email, password) VALUES ('A', 'B', 'a@b.example', '!')")
    customer = Customer.objects.get(email="a@b.example")
    assert (customer.strasse, customer.ort, customer.plz) == ("", "", "")


def test_the_defaults_of_the_models_are_the_same(deborah: Customer) -> None:
    order = Order(customer=deborah)
    assert (order.status, order.order_date) == ("pending", timezone.localdate())
    assert order.total_amount == Decimal(0)
    assert Product().stock == 0


def test_deleting_a_customer_in_sql_takes_orders_and_cart_along(
    order: Order, cart: Cart, jonas: Customer
) -> None:
    Order.objects.create(customer=jonas)
    sql("DELETE FROM customer WHERE customer_id = %s", order.customer_id)
    counts = [model.objects.count() for model in (Customer, Order, OrderItem, Product)]
    assert counts == [1, 1, 0, 2]
    assert not Cart.objects.exists()
    assert not CartItem.objects.exists()


def test_deleting_an_order_in_sql_takes_its_lines_along(order: Order) -> None:
    sql('DELETE FROM "order"')
    assert not OrderItem.objects.exists()


def test_deleting_a_product_in_sql_empties_carts_but_spares_orders(
    order: Order, cart: Cart, computer: Product, gloves: Product
) -> None:
    sql("DELETE FROM product WHERE product_id = %s", computer.pk)
    assert not CartItem.objects.exists()
    with pytest.raises(IntegrityError, match="order_item_product_id_fk"), transaction.atomic():
        sql("DELETE FROM product WHERE product_id = %s", gloves.pk)


def test_deleting_a_cart_in_sql_takes_its_lines_along(cart: Cart) -> None:
    sql("DELETE FROM cart")
    assert not CartItem.objects.exists()


def test_deleting_a_category_with_products_is_refused(gloves: Product) -> None:
    with pytest.raises(IntegrityError, match="product_category_id_fk"), transaction.atomic():
        sql("DELETE FROM category")
    with pytest.raises(RestrictedError):
        gloves.category.delete()


def test_the_orm_deletes_as_the_database_does(order: Order, cart: Cart, gloves: Product) -> None:
    with pytest.raises(RestrictedError):
        gloves.delete()
    order.customer.delete()
    assert not Order.objects.exists()
    assert not Cart.objects.exists()
    gloves.delete()
    assert Product.objects.count() == 1


def test_one_index_per_foreign_key_and_those_that_reports_need() -> None:
    indexes = sql(
        """
        SELECT indrelid::regclass::text, array_agg(attname::text ORDER BY position)
        FROM pg_index
        CROSS JOIN unnest(indkey) WITH ORDINALITY AS keys(attnum, position)
        JOIN pg_attribute ON attrelid = indrelid AND pg_attribute.attnum = keys.attnum
        WHERE indrelid = ANY(%s::regclass[]) AND NOT indisprimary
        GROUP BY indexrelid, indrelid""",
        [f'"{model._meta.db_table}"' for model in apps.get_app_config("shop").get_models()],
    )
    assert sorted(indexes) == [
        ('"order"', ["customer_id", "total_amount"]),
        ('"order"', ["order_date", "order_id", "status"]),
        ('"order"', ["order_date", "order_id", "status"]),
        ("cart", ["customer_id"]),
        ("cart_item", ["cart_id"]),
        ("cart_item", ["cart_id", "product_id"]),
        ("cart_item", ["product_id"]),
        ("category", ["category_name"]),
        ("customer", ["email"]),
        ("idempotency_key", ["customer_id", "key"]),
        ("import_line", ["product_import_id", "line"]),
        ("import_part", ["product_import_id", "number"]),
        ("invoice", ["cancels_id"]),
        ("invoice", ["made_on"]),
        ("invoice", ["order_id", "cancels_id"]),
        ("job", ["finished_at"]),
        ("job", ["job_id"]),
        ("job", ["queue", "due_at"]),
        ("job", ["slot"]),
        ("mail", ["customer_id"]),
        ("mail", ["kind", "mail_id"]),
        ("mail", ["order_id"]),
        ("mail", ["written_at"]),
        ("order_history", ["order_id"]),
        ("order_item", ["order_id"]),
        ("order_item", ["product_id"]),
        ("order_note", ["order_id"]),
        ("payment", ["key"]),
        ("payment", ["order_id"]),
        ("payment", ["order_id"]),
        ("payment", ["provider", "reference"]),
        ("payment", ["status"]),
        ("payment", ["token"]),
        ("payment_event", ["provider", "event"]),
        ("payment_event", ["provider", "reference"]),
        ("product", ["category_id"]),
        ("product", ["category_id", "price", "product_id"]),
        ("product", ["price", "product_id"]),
        ("product", ["product_id", "name"]),  # behind name_order(name)
        ("product_import", ["user_id"]),
        ("product_sales", ["main", "quantity", "product_id"]),
        ("product_sales", ["product_id"]),
        ("product_sales", ["product_id"]),
        ("refresh_token", ["customer_id"]),
        ("refresh_token", ["family"]),
        ("refresh_token", ["parent_hash"]),
        ("refresh_token", ["user_id"]),
        ("request_count", ["ends_at"]),
        ("search_word", ["word"]),
        ("stock_correction", ["product_id"]),
    ]


def test_an_email_is_stored_and_found_in_lower_case(deborah: Customer) -> None:
    customer = Customer.objects.create(first_name="J", last_name="D", email="John@EXAMPLE.com", password="!")
    assert sql("SELECT email FROM customer WHERE customer_id = %s", customer.pk) == [("john@example.com",)]
    assert Customer.objects.get(email="JOHN@example.com") == customer
    with pytest.raises(IntegrityError), transaction.atomic():
        Customer.objects.filter(pk=deborah.pk).update(email="JOHN@example.COM")


@pytest.mark.slow
def test_a_password_is_a_hash(deborah: Customer, settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    deborah.set_password("geheim")
    deborah.save()
    (stored,) = sql("SELECT password FROM customer")[0]
    assert stored.startswith("pbkdf2_sha256$")
    assert deborah.check_password("geheim")
    assert not deborah.check_password("Geheim")
    assert not Customer(password="geheim").check_password("geheim")


def test_the_total_is_the_sum_of_the_lines(order: Order, computer: Product) -> None:
    Order.objects.update(total_amount=1)
    OrderItem.objects.create(order=order, product=computer, quantity=3, price_per_unit="0.01")
    order.update_total()
    assert str(order.total_amount) == "472.01"
    order.items.all().delete()
    order.update_total()
    assert Order.objects.get().total_amount == 0


def test_a_price_that_does_not_fit_is_refused(home: Category) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        sql("INSERT INTO product (name, price, category_id) VALUES ('Lamp', 100000000, %s)", home.pk)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_total_holds_every_line_of_those_who_add_at_once(order: Order, gloves: Product) -> None:
    barrier = threading.Barrier(2)

    def add_a_line() -> None:
        with transaction.atomic():
            order.items.create(product=gloves, quantity=1, price_per_unit=10)
            barrier.wait()
            Order.objects.filter(pk=order.pk).update_totals()
            time.sleep(0.5)  # the other one is at it before this one is through
        connection.close()

    threads = [threading.Thread(target=add_a_line) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    order.refresh_from_db()
    assert order.total_amount == Decimal("491.98")
