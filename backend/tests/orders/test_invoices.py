"""Invoices: numbered without gaps, one for each order, kept as they were made."""

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, InternalError, connection, transaction
from django.db.models import RestrictedError
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from shop.models import Customer, Delivery, Invoice, Order, OrderHistory, OrderItem, OrderStatus, Product
from shop.orders.books import faults
from shop.orders.erasure import erase
from shop.orders.invoices import TAKE_TURNS, make_invoices, why_not
from shop.orders.lines import LinesFixedError, check_lines_free
from shop.orders.models import Actor
from shop.orders.workflow import move
from tests.support.races import at_once, meanwhile, session

pytestmark = pytest.mark.django_db(transaction=True)

ADA = "Ada Lovelace\nHauptstraße 1\n01067 Dresden"


def columns_of(invoice: Invoice) -> dict[str, Any]:
    return {field.attname: getattr(invoice, field.attname) for field in Invoice._meta.concrete_fields}


def another(customer: Customer, product: Product, price: str = "1.00", quantity: int = 1) -> Order:
    """An order of staff's: without a delivery."""
    order = Order.objects.create(customer=customer)
    OrderItem.objects.create(order=order, product=product, quantity=quantity, price_per_unit=Decimal(price))
    order.update_total()
    return order


def test_an_invoice_has_all_that_it_prints(
    placed: Order, lines_of_basket: list[dict[str, Any]], settings: Settings
) -> None:
    settings.SHOP_SELLER = "Webshop GmbH\nVAT ID DE123456789"
    Order.objects.update(order_date=date(2026, 11, 1))
    move(orders=[placed.pk], to=OrderStatus.SHIPPED, by=Actor.STAFF)
    OrderHistory.objects.filter(status="shipped").update(at=datetime(2026, 11, 3, 23, 30, tzinfo=UTC))
    assert make_invoices(orders=[placed.pk]) == [Invoice.objects.get()]
    assert columns_of(Invoice.objects.get()) == {
        "number": 1,
        "order_id": placed.pk,
        "cancels_id": None,
        "made_on": timezone.localdate(),
        "supplied_on": date(2026, 11, 3),
        "order_date": date(2026, 11, 1),
        "seller": "Webshop GmbH\nVAT ID DE123456789",
        "address": ADA,
        "lines": lines_of_basket,
        "currency": "EUR",
        "vat_rate": 19,
        "net": Decimal("1215.69"),
        "vat": Decimal("230.98"),
        "gross": Decimal("1446.67"),
    }
    assert str(Invoice.objects.get()) == "R-000001"


def test_what_is_not_sent_yet_is_supplied_today(placed: Order) -> None:
    make_invoices(orders=[placed.pk])
    assert Invoice.objects.get().supplied_on == timezone.localdate()


@pytest.mark.parametrize(
    ("gross", "rate", "net", "vat"),
    [
        ("0.00", 19, "0.00", "0.00"),
        ("0.01", 19, "0.01", "0.00"),
        ("0.03", 20, "0.02", "0.01"),  # 0.005 is rounded up
        ("1.00", 19, "0.84", "0.16"),
        ("107.00", 7, "100.00", "7.00"),
        ("10.00", 0, "10.00", "0.00"),
        ("99999999.99", 19, "84033613.44", "15966386.55"),
    ],
)
def test_net_and_vat_add_up(
    ada: Customer, gloves: Product, settings: Settings, gross: str, rate: int, net: str, vat: str
) -> None:
    settings.SHOP_VAT_RATE = rate
    make_invoices(orders=[another(ada, gloves, gross).pk])
    invoice = Invoice.objects.get()
    assert [str(invoice.net), str(invoice.vat), str(invoice.gross)] == [net, vat, gross]


def test_it_stays_as_it_was_made(placed: Order, computer: Product, settings: Settings) -> None:
    make_invoices(orders=[placed.pk])
    before = columns_of(Invoice.objects.get())
    computer.name = "Another"
    computer.save()
    Customer.objects.update(last_name="King", strasse="Elsewhere 2")
    Delivery.objects.update(last_name="King", strasse="Elsewhere 2")
    settings.SHOP_SELLER = "Another"
    settings.SHOP_VAT_RATE = 7
    assert make_invoices(orders=[placed.pk]) == []
    assert columns_of(Invoice.objects.get()) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE invoice SET seller = 'Another'",
        "UPDATE invoice SET address = ''",
        "UPDATE invoice SET number = 2",
        "DELETE FROM invoice",
        "SET LOCAL shop.prune = 'on'; UPDATE invoice SET address = '', net = 1, vat = 1445.67",
        "SET LOCAL shop.prune = 'on'; UPDATE invoice SET address = 'Another'",
        "SET LOCAL shop.prune = 'on'; DELETE FROM invoice",
    ],
)
def test_the_database_lets_nobody_change_it(placed: Order, statement: str) -> None:
    make_invoices(orders=[placed.pk])
    before = columns_of(Invoice.objects.get())
    with (
        connection.cursor() as cursor,
        pytest.raises(InternalError, match="an invoice stays as it was made"),
        transaction.atomic(),
    ):
        cursor.execute(statement)
    assert columns_of(Invoice.objects.get()) == before


def test_neither_its_order_nor_its_customer_can_be_deleted(placed: Order) -> None:
    make_invoices(orders=[placed.pk])
    for statement in ('DELETE FROM "order"', "DELETE FROM customer"):
        with (
            connection.cursor() as cursor,
            pytest.raises(IntegrityError, match="invoice_order_id_fk"),
            transaction.atomic(),
        ):
            cursor.execute(statement)
    for row in (placed, placed.customer):
        with pytest.raises(RestrictedError, match=r"Invoice\.order"):
            row.delete()


def test_what_has_no_invoice(ada: Customer, deborah: Customer, gloves: Product) -> None:
    empty = Order.objects.create(customer=ada)
    cancelled = another(ada, gloves)
    move(orders=[cancelled.pk], to=OrderStatus.CANCELLED, by=Actor.STAFF)
    nowhere = another(deborah, gloves)
    free = another(ada, gloves, "0.00")
    keys = [empty.pk, cancelled.pk, nowhere.pk, free.pk]
    reasons = {
        empty.pk: "it has no lines",
        cancelled.pk: "it is cancelled",
        nowhere.pk: "its address is not complete",
    }
    assert why_not(keys) == reasons | {free.pk: "it is not made yet"}
    assert [invoice.order_id for invoice in make_invoices(orders=[*keys, 0])] == [free.pk]
    assert why_not(keys) == reasons
    assert list(Invoice.objects.values_list("order_id", "gross")) == [(free.pk, Decimal(0))]


def test_as_many_queries_for_one_as_for_many(
    ada: Customer, gloves: Product, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in (1, 20):
        orders = [another(ada, gloves).pk for _ in range(number)]
        with django_assert_num_queries(8):
            make_invoices(orders=orders)
    assert list(Invoice.objects.order_by("number").values_list("number", flat=True)) == list(range(1, 22))


# Numbers


def test_two_at_once_take_two_numbers_and_one_order_gets_one(ada: Customer, gloves: Product) -> None:
    orders = [another(ada, gloves).pk for _ in range(6)]
    results = at_once(*(lambda key=key: make_invoices(orders=[key]) for key in [*orders, *orders]))
    assert sorted(invoice.number for made in results for invoice in made) == [1, 2, 3, 4, 5, 6]
    assert sorted(Invoice.objects.values_list("number", flat=True)) == [1, 2, 3, 4, 5, 6]
    assert sorted(Invoice.objects.values_list("order_id", flat=True)) == orders


def test_what_is_rolled_back_leaves_no_gap(ada: Customer, gloves: Product) -> None:
    """The next one waits for who took a number, and takes it if it is free again."""
    first, second, third = (another(ada, gloves).pk for _ in range(3))
    make_invoices(orders=[first])
    insert = (
        f"{TAKE_TURNS}; INSERT INTO invoice SELECT 2, {second}, cancels_id, "
        "made_on, supplied_on, order_date, seller, address, lines, currency, vat_rate, net, vat, gross "
        "FROM invoice"
    )
    assert len(meanwhile(insert, lambda: make_invoices(orders=[third]), "ROLLBACK")) == 1
    assert list(Invoice.objects.order_by("number").values_list("number", "order_id")) == [
        (1, first),
        (2, third),
    ]
    make_invoices(orders=[second])
    assert Invoice.objects.get(order=second).number == 3


def test_a_transaction_that_fails_takes_no_number(ada: Customer, gloves: Product) -> None:
    first, second = (another(ada, gloves).pk for _ in range(2))
    with transaction.atomic():
        make_invoices(orders=[first])
        transaction.set_rollback(True)
    make_invoices(orders=[second])
    assert Invoice.objects.get().number == 1


def test_orders_go_on_while_an_invoice_is_made(ada: Customer, gloves: Product) -> None:
    """Its lock keeps those waiting who make invoices, and nobody else."""
    first, second = (another(ada, gloves).pk for _ in range(2))
    make_invoices(orders=[first])
    with session() as other:
        other.execute(TAKE_TURNS)
        assert Invoice.objects.count() == 1
        assert move(orders=[second], to=OrderStatus.CANCELLED, by=Actor.STAFF)
        with transaction.atomic():
            check_lines_free([second])


# What becomes of them


def test_it_is_cancelled_with_its_order(placed: Order, ada: Customer, gloves: Product) -> None:
    make_invoices(orders=[placed.pk, another(ada, gloves).pk])
    Delivery.objects.update(last_name="King")
    assert move(orders=[placed.pk], to=OrderStatus.CANCELLED, by=Actor.STAFF)
    assert not move(orders=[placed.pk], to=OrderStatus.CANCELLED, by=Actor.STAFF)
    first, second = (Invoice.objects.get(number=number) for number in (1, 3))
    assert Invoice.objects.count() == 3
    assert columns_of(second) == columns_of(first) | {
        "number": 3,
        "cancels_id": 1,
        "lines": [
            first.lines[0] | {"quantity": -2, "subtotal": "-738.70"},
            first.lines[1] | {"quantity": -3, "subtotal": "-707.97"},
        ],
        "net": Decimal("-1215.69"),
        "vat": Decimal("-230.98"),
        "gross": Decimal("-1446.67"),
    }
    assert make_invoices(orders=[placed.pk]) == []
    assert Invoice.objects.count() == 3
    assert faults() == []


def test_nobody_waits_for_the_mails_of_those_that_are_cancelled(placed: Order) -> None:
    """Who waits for a turn to take numbers has written them."""
    make_invoices(orders=[placed.pk])
    writers = "SELECT count(*) FROM pg_locks WHERE relation = 'mail'::regclass AND mode = 'RowExclusiveLock'"
    seen: list[Any] = []
    cancel = partial(move, orders=[placed.pk], to=OrderStatus.CANCELLED, by=Actor.STAFF)
    assert meanwhile(TAKE_TURNS, cancel, writers, seen)
    assert seen == [(1,)]


def test_an_invoice_of_nothing_is_cancelled(ada: Customer, gloves: Product) -> None:
    order = another(ada, gloves, "0.00")
    make_invoices(orders=[order.pk])
    move(orders=[order.pk], to=OrderStatus.CANCELLED, by=Actor.STAFF)
    invoice = Invoice.objects.get(number=2)
    assert [str(invoice.gross), invoice.lines[0]["subtotal"]] == ["0.00", "0.00"]


def test_an_order_is_cancelled_before_or_after_its_invoice_is_made(placed: Order) -> None:
    made, moved = at_once(
        lambda: make_invoices(orders=[placed.pk]),
        lambda: move(orders=[placed.pk], to=OrderStatus.CANCELLED, by=Actor.STAFF),
    )
    assert moved == {placed.pk: OrderStatus.PENDING}
    assert Invoice.objects.count() == 2 * len(made)
    assert faults() == []


def test_the_lines_of_its_order_stay(placed: Order) -> None:
    with transaction.atomic():
        check_lines_free([placed.pk])
    make_invoices(orders=[placed.pk])
    text = "The lines cannot change: the order has the invoice R-000001"
    with pytest.raises(LinesFixedError, match=text), transaction.atomic():
        check_lines_free([placed.pk])


def test_it_outlives_its_customer(placed: Order, ada: Customer) -> None:
    ada.set_password("correct horse battery")
    ada.save()
    make_invoices(orders=[placed.pk])
    move(orders=[placed.pk], to=OrderStatus.COMPLETED, by=Actor.STAFF)
    erase(customer_id=ada.pk, current_password="correct horse battery")
    assert Invoice.objects.get().address == ADA


def test_its_address_goes_when_the_law_lets_it(placed: Order, settings: Settings) -> None:
    """So many years after the end of the year in which it was made."""
    make_invoices(orders=[placed.pk])
    settings.SHOP_KEEP_YEARS = 8
    year = timezone.localdate().year
    for made_on, address in ((date(year - 8, 1, 1), ADA), (date(year - 9, 12, 31), "")):
        with session() as other:
            other.execute("SET session_replication_role = replica")
            other.execute("UPDATE invoice SET made_on = %s, address = %s", [made_on, ADA])
            other.connection.commit()
        before = columns_of(Invoice.objects.get())
        call_command("prune", verbosity=0)
        assert columns_of(Invoice.objects.get()) == before | {"address": address}
    assert faults() == []
