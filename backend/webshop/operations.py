"""What operators ask a process: is it alive, is it ready to serve, what has it done, how is the shop."""

from collections.abc import Callable, Iterable

from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from shop.api.errors import method_not_allowed, unavailable
from shop.api.routing import READING
from shop.database.migration_state import missing_migrations
from shop.jobs.worker import MAIL, sends_mail
from shop.models import Cart, Job, Order, OrderStatus, Payment, PaymentStatus, Product

from .metrics import DIRECTORY


def operations(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: answer what operators ask before all else.

    Health checks come every few seconds, by IP address and plain http: neither the allowed hosts nor the
    redirect to https nor the log is for them.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        answer = ANSWERS.get(request.path_info)
        if not answer:
            return get_response(request)
        if request.method not in READING:
            return method_not_allowed(READING)
        response = answer()
        response["Cache-Control"] = "no-store"
        return response

    return middleware


def healthz() -> HttpResponse:
    """Say that the process is alive."""
    return JsonResponse({"status": "ok"})


def readyz() -> HttpResponse:
    """Say whether the database answers and has all tables; 503 with what is missing if not."""
    try:
        missing = still_missing()
    except Error:
        return unavailable()
    if missing:
        return unavailable(f"Migrations are missing: {', '.join(missing)}")
    return JsonResponse({"status": "ok"})


def still_missing() -> list[str]:
    """Return the migrations that the database has yet to see, in their order; raise Error if it is away.

    Once there were none, a process asks only whether the database answers: its code does not change.
    """
    global complete
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    if complete:
        return []
    missing = missing_migrations(connection)
    complete = not missing
    return missing


complete = False
"""Whether all migrations were found in the database."""


def metrics() -> HttpResponse:
    """Give Prometheus what all processes of this server have done, and how the shop is."""
    registry = CollectorRegistry()
    if DIRECTORY:
        MultiProcessCollector(registry)
    else:
        registry.register(REGISTRY)
    registry.register(ShopCollector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class ShopCollector(Collector):
    """How the shop is, read from the database at each scrape."""

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the gauges of the shop, or only that the database is not available."""
        up = GaugeMetricFamily("shop_database_up", "Whether the database answers", value=1)
        try:
            return [up, *shop_gauges()]
        except Error:
            return [GaugeMetricFamily(up.name, up.documentation, value=0)]


def shop_gauges() -> list[GaugeMetricFamily]:
    """Return the gauges that five statements give."""
    orders = GaugeMetricFamily("shop_orders", "Orders", labels=["status"])
    revenue = GaugeMetricFamily("shop_revenue", "The sum of the orders' total_amount", labels=["status"])
    found = {status: (count, amount) for status, count, amount in Order.objects.by_status()}
    for status in OrderStatus.values:
        count, amount = found.get(status, (0, 0))
        orders.add_metric([status], count)
        revenue.add_metric([status], float(amount))
    payments = GaugeMetricFamily("shop_payments", "Payments that are not done", labels=["status"])
    counts = Payment.objects.unsettled_by_status()
    for status in PaymentStatus.unsettled():
        payments.add_metric([status], counts.get(status, 0))
    queue = Job.objects.gauges("" if sends_mail() else MAIL)
    low_stock, open_carts = Product.objects.low_stock().count(), Cart.objects.with_items().count()
    return [
        orders,
        revenue,
        payments,
        GaugeMetricFamily("shop_low_stock_products", "Products low on stock", value=low_stock),
        GaugeMetricFamily("shop_open_carts", "Carts with an item in them", value=open_carts),
        GaugeMetricFamily("shop_jobs_waiting", "Jobs that are not done", value=queue["waiting"]),
        GaugeMetricFamily("shop_jobs_dead", "Jobs that were given up", value=queue["dead"]),
        GaugeMetricFamily(
            "shop_jobs_oldest_due_seconds",
            "How long the oldest due job waits",
            value=queue["oldest_due_seconds"],
        ),
    ]


ANSWERS: dict[str, Callable[[], HttpResponse]] = {
    "/healthz": healthz,
    "/readyz": readyz,
    "/metrics": metrics,
}
