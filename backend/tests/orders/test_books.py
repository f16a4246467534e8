"""`check_shop`: it finds each fault in the books, and none where there is none."""

from collections.abc import Callable
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from shop.models import Customer, Delivery, Order, OrderHistory, OrderItem, OrderStatus, Payment, Product
from shop.orders.books import faults
from shop.orders.invoices import make_invoices
from shop.orders.models import Actor
from shop.orders.workflow import TRANSITIONS, move
from tests.support.races import meanwhile, session

pytestmark = pytest.mark.django_db(transaction=True)


def sql(*statements: str) -> None:
    """Run these without triggers and foreign keys."""
    with connection.cursor() as cursor:
        for statement in (
            "SET session_replication_role = replica",
            *statements,
            "SET session_replication_role = origin",
        ):
            cursor.execute(statement)


@pytest.fixture
def check_shop(capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[int, list[str]]]:
    def run() -> tuple[int, list[str]]:
        code = 0
        try:
            call_command("check_shop")
        except SystemExit as end:
            code = int(str(end.code))
        return code, capsys.readouterr().out.splitlines()

    return run


LIVE_UNIQUE = """
CREATE UNIQUE INDEX payment_live_unique ON payment (order_id) WHERE status IN ('open', 'paid', 'disputed')
"""

Check = Callable[[], tuple[int, list[str]]]


def with_history(order: Order, *history: str) -> Order:
    """Make it one that was placed here, with this history."""
    Delivery.objects.create(order=order, first_name="D", last_name="B", strasse="S", plz="1", ort="B")
    OrderHistory.objects.bulk_create(
        OrderHistory(order=order, status=status, by="staff") for status in history
    )
    return order


def test_the_sample_shop_balances(check_shop: Check) -> None:
    call_command("load_sample_data", stdout=StringIO())
    assert check_shop() == (0, ["The books balance."])


def test_an_empty_shop_balances(check_shop: Check) -> None:
    assert check_shop() == (0, ["The books balance."])


def test_totals(check_shop: Check, order: Order, deborah: Customer) -> None:
    Order.objects.create(customer=deborah)
    empty = Order.objects.create(customer=deborah, total_amount=Decimal(5))
    Order.objects.filter(pk=order.pk).update(total_amount=Decimal("471.97"))
    assert check_shop() == (
        1,
        [
            f"order {order.pk}: its total is 471.97, its lines add up to 471.98",
            f"order {empty.pk}: its total is 5.00, its lines add up to 0.00",
        ],
    )


def test_sales(check_shop: Check, order: Order, gloves: Product) -> None:
    sql("UPDATE product_sales SET quantity = quantity - 1")
    assert check_shop() == (1, [f"product {gloves.pk}: product_sales lacks 1 units and 0.00 of revenue"])
    call_command("reconcile_product_sales", verbosity=0)
    assert faults() == []


def test_stock(check_shop: Check, gloves: Product) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE product DROP CONSTRAINT product_stock_not_negative")
        cursor.execute("UPDATE product SET stock = -1")
        assert check_shop() == (1, [f"product {gloves.pk}: its stock is -1"])
        cursor.execute("UPDATE product SET stock = 0")
        cursor.execute("ALTER TABLE product ADD CONSTRAINT product_stock_not_negative CHECK (stock >= 0)")


@pytest.mark.parametrize(
    ("status", "history", "expected"),
    [
        ("pending", ["pending"], []),
        ("completed", ["pending", "processing", "shipped", "completed"], []),
        ("cancelled", ["pending", "shipped", "cancelled"], []),
        ("pending", [], ["it has no history"]),
        ("shipped", ["shipped"], ["its history goes from nothing to shipped"]),
        ("pending", ["pending", "pending"], ["its history goes from pending to pending"]),
        ("shipped", ["pending"], ["it is shipped, its history ends with pending"]),
        (
            "pending",
            ["pending", "completed", "cancelled"],
            [
                "its history goes from completed to cancelled",
                "it is pending, its history ends with cancelled",
            ],
        ),
    ],
)
def test_histories(
    check_shop: Check, deborah: Customer, status: str, history: list[str], expected: list[str]
) -> None:
    order = with_history(Order.objects.create(customer=deborah, status=status), *history)
    with_history(Order.objects.create(customer=deborah), "pending")
    lines = [f"order {order.pk}: {fault}" for fault in expected]
    assert check_shop() == ((1, lines) if lines else (0, ["The books balance."]))


def test_every_way_that_the_table_allows_is_right(deborah: Customer) -> None:
    for before, targets in TRANSITIONS.items():
        for after in targets:
            way = dict.fromkeys([OrderStatus.PENDING, before, after])
            with_history(Order.objects.create(customer=deborah, status=after), *way)
    assert faults() == []


def test_an_order_that_was_not_placed_here_begins_with_its_first_change(order: Order) -> None:
    Order.objects.update(status="shipped")
    OrderHistory.objects.create(order=order, status="processing", by="staff")
    assert faults() == []


@pytest.mark.parametrize(
    ("status", "payments", "expected"),
    [
        ("pending", [("open", "471.98")], []),
        ("processing", [("paid", "471.98"), ("refunded", "1.00"), ("expired", "1.00")], []),
        ("pending", [("disputed", "1.00")], []),
        ("cancelled", [("refunding", "471.98"), ("refund_failed", "471.98"), ("expired", "471.98")], []),
        ("pending", [("open", "1.00")], ["its total is 471.98, its payment is of 1.00"]),
        ("pending", [("paid", "500.00")], ["its total is 471.98, its payment is of 500.00"]),
        ("cancelled", [("paid", "471.98")], ["it is cancelled, and paid without a refund"]),
        ("cancelled", [("disputed", "1.00")], ["it is cancelled, and paid without a refund"]),
        ("processing", [("paid", "471.98"), ("open", "471.98")], ["it has 2 live payments"]),
    ],
)
def test_payments(
    check_shop: Check, order: Order, status: str, payments: list[tuple[str, str]], expected: list[str]
) -> None:
    Order.objects.update(status=status)
    with connection.cursor() as cursor:
        # Without the index that forbids two live ones.
        cursor.execute("DROP INDEX payment_live_unique")
        try:
            for state, amount in payments:
                order.payments.create(
                    provider="invoice", status=state, amount=Decimal(amount), currency="EUR"
                )
            lines = [f"order {order.pk}: {fault}" for fault in expected]
            assert check_shop() == ((1, lines) if lines else (0, ["The books balance."]))
        finally:
            Payment.objects.all().delete()
            cursor.execute(LIVE_UNIQUE)


def test_invoices(check_shop: Check, placed: Order) -> None:
    make_invoices(orders=[placed.pk])
    assert check_shop() == (0, ["The books balance."])
    move(orders=[placed.pk], to=OrderStatus.CANCELLED, by=Actor.STAFF)
    assert check_shop() == (0, ["The books balance."])
    sql("UPDATE invoice SET net = net + 1, gross = gross + 1 WHERE number = 1")
    sql("UPDATE invoice SET number = 4 WHERE number = 2")
    order = f"order {placed.pk}"
    missing = "invoices: R-000002 to R-000003 are missing"
    too_much = f"invoice R-000001: it is of 1447.67, by {order} it is of 1446.67"
    assert check_shop() == (1, [missing, too_much])
    sql(
        "UPDATE invoice SET net = net - 1, gross = gross - 1 WHERE number = 1",
        "DELETE FROM invoice WHERE number = 4",
    )
    assert check_shop() == (1, [f"invoice R-000001: {order} is cancelled, the invoice is not"])


def test_an_invoice_is_cancelled_with_its_order(check_shop: Check, placed: Order) -> None:
    make_invoices(orders=[placed.pk])
    move(orders=[placed.pk], to=OrderStatus.CANCELLED, by=Actor.STAFF)
    sql(
        "UPDATE \"order\" SET status = 'pending'",
        "DELETE FROM order_history WHERE status = 'cancelled'",
    )
    fault = f"invoice R-000001: it is cancelled, order {placed.pk} is not"
    assert check_shop() == (1, [fault])


def test_all_is_of_one_moment(deborah: Customer) -> None:
    """What one transaction mends and breaks while the check goes on is as it was when the check began."""
    order = with_history(Order.objects.create(customer=deborah, total_amount=5), "pending")
    write = 'UPDATE "order" SET total_amount = 0; DELETE FROM order_history'
    began = meanwhile("LOCK TABLE delivery", faults, write)
    assert began == [f"order {order.pk}: its total is 5.00, its lines add up to 0.00"]
    assert faults() == [f"order {order.pk}: it has no history"]


def test_it_only_reads(order: Order) -> None:
    """Nobody has to wait for it, and a standby can be asked."""
    with session() as other:
        other.execute('UPDATE "order" SET total_amount = 0; SELECT FROM product FOR UPDATE')
        assert faults() == []
    move(orders=[order.pk], to=OrderStatus.SHIPPED, by=Actor.STAFF)


def test_its_cost_does_not_grow_with_the_faults(deborah: Customer, gloves: Product) -> None:
    orders = Order.objects.bulk_create(Order(customer=deborah, total_amount=1) for _ in range(500))
    OrderItem.objects.bulk_create(
        OrderItem(order=order, product=gloves, quantity=1, price_per_unit=2) for order in orders
    )
    with CaptureQueriesContext(connection) as queries:
        assert len(faults()) == 500
    assert len(queries) == 10  # seven checks, how they are to see the shop, BEGIN and COMMIT
