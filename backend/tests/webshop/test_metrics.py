"""The metrics: what all workers did, whoever of them is asked, and how the shop is."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from shop.models import Cart, Customer, Order, Payment, Product
from tests.support.serving import Shop, serving

pytestmark = pytest.mark.slow

PRODUCTS, ORDER = "shop/api/products/", "shop/api/order/<int:order_id>/"


def parse(text: str) -> dict[str, float]:
    """Return the values by name and labels, as Prometheus writes them: without quotes."""
    return {
        f"{sample.name}{{{','.join(f'{k}={v}' for k, v in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(shop: Shop) -> dict[str, float]:
    answer = shop.get("/metrics", Host="10.0.0.7")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert answer.headers["Cache-Control"] == "no-store"
    return parse(answer.body.decode())


def shared_directory(shop: Shop) -> Path:
    """Return where the workers write their metrics."""
    maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in shop.workers(2))
    (directory,) = {Path(line.split()[-1]).parent for line in maps.splitlines() if line.endswith(".db")}
    return directory


def requests(found: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in found.items() if name.startswith("shop_requests_total")}


@pytest.mark.django_db(transaction=True)
def test_all_workers_are_counted_whoever_answers(tmp_path: Path, order: Order) -> None:
    with serving(tmp_path, "--workers=3") as shop:
        errors: list[BaseException] = []

        def ask() -> None:
            try:
                for _ in range(50):
                    assert shop.get("/shop/api/products/").status == 200
                    assert shop.get(f"/shop/api/order/{order.pk}/").status == 200
                    assert shop.get("/shop/api/order/0/").status == 404
            except BaseException as error:  # noqa: BLE001
                errors.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        for _ in range(6):  # whichever worker is asked
            found = scrape(shop)
            assert requests(found) == {
                f"shop_requests_total{{method=GET,route={PRODUCTS},status=200}}": 200,
                f"shop_requests_total{{method=GET,route={ORDER},status=200}}": 200,
                f"shop_requests_total{{method=GET,route={ORDER},status=404}}": 200,
            }
            assert found[f"shop_request_seconds_count{{route={ORDER}}}"] == 400
            assert found[f"shop_request_seconds_bucket{{le=10.0,route={ORDER}}}"] == 400
            assert 0 < found[f"shop_request_seconds_sum{{route={ORDER}}}"] < 400
            assert found[f"shop_request_queries_bucket{{le=0.0,route={ORDER}}}"] == 0
            assert found[f"shop_request_queries_bucket{{le=1.0,route={ORDER}}}"] == 200
            assert found[f"shop_request_queries_bucket{{le=2.0,route={ORDER}}}"] == 400
            assert found[f"shop_request_queries_sum{{route={ORDER}}}"] == 600


def test_a_worker_that_is_replaced_takes_nothing_along(transactional_db: None, tmp_path: Path) -> None:
    """Nor does it leave a file behind for good."""
    with serving(tmp_path, "--workers=2") as shop:
        asked = 0
        for _ in range(3):
            for _ in range(6):
                assert shop.get("/shop/api/products/").status == 200
                asked += 1
            found = scrape(shop)
            assert found[f"shop_requests_total{{method=GET,route={PRODUCTS},status=200}}"] == asked
            directory, old = shared_directory(shop), shop.workers(2)
            for number, pid in enumerate(old):
                os.kill(pid, (signal.SIGTERM, signal.SIGKILL)[number])
            deadline = time.monotonic() + 20
            while set(shop.workers(2)) & set(old):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        names = {path.name for path in directory.iterdir()}
        assert names <= {f"{kind}_{slot}.db" for kind in ("counter", "histogram") for slot in (1, 2)}
    assert not directory.exists()


def test_callers_cannot_make_labels(transactional_db: None, tmp_path: Path) -> None:
    with serving(tmp_path, "--workers=1") as shop:
        for path in ("/shop/api/products/", "/wp-login.php", "/shop/api/order/x/", "/static/nope"):
            for hostile in ("BREW", "get", "X" * 20):
                shop.get(path, hostile)
            shop.get(path + "?a=1")
        found = requests(scrape(shop))
        labels = {name.partition("{")[2].partition(",status")[0] for name in found}
        assert labels <= {f"method={m},route={r}" for m in ("OTHER", "GET") for r in ("none", PRODUCTS)}


@pytest.mark.django_db(transaction=True)
def test_the_shop_is_read_from_the_database(
    client: Client, order: Order, cart: Cart, jonas: Customer, gloves: Product
) -> None:
    Cart.objects.create(customer=jonas)  # it is empty
    Order.objects.create(customer=jonas, status="pending", total_amount="0.10")
    Order.objects.create(customer=jonas, status="pending", total_amount="0.20")
    for status in ("open", "paid"):
        Payment.objects.create(
            order=Order.objects.create(customer=jonas, total_amount=0),
            amount=1,
            currency="EUR",
            provider="invoice",
            status=status,
        )
    with CaptureQueriesContext(connection) as captured:
        found = parse(client.get("/metrics").content.decode())
    assert len(captured) == 6
    shop = {
        name.removesuffix("{}"): value
        for name, value in found.items()
        if name.startswith("shop_") and not name.startswith("shop_request")
    }
    assert shop == {
        "shop_orders{status=pending}": 4,
        "shop_orders{status=processing}": 0,
        "shop_orders{status=shipped}": 0,
        "shop_orders{status=completed}": 1,
        "shop_orders{status=cancelled}": 0,
        "shop_revenue{status=pending}": 0.3,
        "shop_revenue{status=processing}": 0,
        "shop_revenue{status=shipped}": 0,
        "shop_revenue{status=completed}": 471.98,
        "shop_revenue{status=cancelled}": 0,
        "shop_payments{status=open}": 1,
        "shop_payments{status=disputed}": 0,
        "shop_payments{status=refunding}": 0,
        "shop_payments{status=refund_failed}": 0,
        "shop_low_stock_products": 1,
        "shop_open_carts": 1,
        "shop_jobs_waiting": 0,
        "shop_jobs_dead": 0,
        "shop_jobs_oldest_due_seconds": 0,
        "shop_database_up": 1,
    }


def test_without_a_database_the_rest_is_there(tmp_path: Path) -> None:
    with serving(tmp_path, DATABASE_HOST=str(tmp_path)) as shop:
        assert shop.get("/shop/api/products/").status == 503
        shop_only = {
            name: value for name, value in scrape(shop).items() if not name.startswith("shop_request_")
        }
        assert shop_only == {
            f"shop_requests_total{{method=GET,route={PRODUCTS},status=503}}": 1,
            "shop_database_up{}": 0,
        }
