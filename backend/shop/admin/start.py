"""What the start page of the admin shows: what came in, what must go out, what runs short, how the shop does.

What a user may not view is neither shown nor asked for. Money is for those who may also view payments: who
only packs is shown none.
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, Self

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.http import urlencode
from django.utils.translation import ngettext

from shop.catalog.models import Product
from shop.jobs.models import Job, JobStatus
from shop.orders.models import Order, OrderStatus, Payment

MOST = 1000
"""Beyond it a number is not told. Nor are rows counted that each would have to be looked at for that."""

WEEKS = 4
"""How many weeks are shown beside this one."""

CHART_DAYS = 30

CHART_HEIGHT = 1000
"""In units of the chart, which is stretched to its place; a day is 10 wide."""


class Task(NamedTuple):
    """Something that waits for staff: how many of what, and their list; or what to say if there are none."""

    number: int
    label: str
    none: str
    url: str

    @property
    def counted(self) -> str:
        return f"over {MOST:,}" if self.number > MOST else f"{self.number:,}"


class Sales(NamedTuple):
    """The orders of some days, the cancelled ones among them; `revenue` is what the others come to."""

    first: date
    last: date
    orders: int = 0
    cancelled: int = 0
    revenue: Decimal = Decimal(0)
    cancelled_amount: Decimal = Decimal(0)

    @classmethod
    def of(cls, days: Iterable[Self], first: date, last: date) -> Self:
        """Return the sum of those days that are from `first` to `last`."""
        among = [day for day in days if first <= day.first <= last]
        return cls(
            first,
            last,
            sum(day.orders for day in among),
            sum(day.cancelled for day in among),
            sum((day.revenue for day in among), Decimal(0)),
            sum((day.cancelled_amount for day in among), Decimal(0)),
        )


class Row(NamedTuple):
    """Sales as a table shows them; an address is empty where there is nothing to see."""

    when: str
    orders: str
    url: str
    cancelled: str
    url_of_cancelled: str
    revenue: str

    @classmethod
    def of(cls, when: str, sales: Sales) -> Self:
        url = list_url(Order, **{"from": sales.first, "to": sales.last})
        cancelled = f"{url}&{urlencode({'status__exact': OrderStatus.CANCELLED})}"
        return cls(
            when,
            f"{sales.orders:,}",
            url if sales.orders else "",
            f"{sales.cancelled:,}",
            cancelled if sales.cancelled else "",
            f"{sales.revenue:,.2f}",
        )


class Chart(NamedTuple):
    """Revenue by day, with cancelled orders on top of it.

    Both are outlines as SVG draws them; `scale` is the amounts beside them, from above; `hints` are what the
    pointer shows, each with its distance from the left; `text` is for those who do not see it.
    """

    revenue: str
    cancelled: str
    scale: Sequence[str]
    days: Sequence[str]
    hints: Sequence[tuple[int, str]]
    text: str
    rows: Sequence[Row]


def list_url(model: type[Model], **parameters: Any) -> str:
    """Return where the list of these rows is."""
    return f"{reverse(f'admin:shop_{model._meta.model_name}_changelist')}?{urlencode(parameters)}"


def count(rows: QuerySet[Any]) -> int:
    """Return how many there are, up to one more than MOST."""
    return rows.order_by()[: MOST + 1].count()


def day_of(day: date) -> str:
    return format_date(day, "N j")


def round_up(amount: Decimal) -> Decimal:
    """Return the next 1, 2 or 5 with zeros behind, for the edge of a chart."""
    power = Decimal(1).scaleb(amount.adjusted())
    return next(step * power for step in (1, 2, 5, 10) if step * power >= amount)


def outline(bars: Iterable[tuple[int, int]]) -> str:
    """Return a path around bars, one beside the other, each from a height to another."""
    return "".join(
        f"M{10 * number} {CHART_HEIGHT - low}V{CHART_HEIGHT - high}h8V{CHART_HEIGHT - low}z"
        for number, (low, high) in enumerate(bars)
        if high > low
    )


def chart_of(days: Sequence[Sales]) -> Chart | None:
    """Return the chart of these days, none of which is left out; None if all are empty."""
    highest = max(day.revenue + day.cancelled_amount for day in days)
    if not highest:
        return None
    top = round_up(highest)
    sold = [round(day.revenue * CHART_HEIGHT / top) for day in days]
    both = [round((day.revenue + day.cancelled_amount) * CHART_HEIGHT / top) for day in days]
    names = [format_date(day.first, "D, N j") for day in days]
    total = Sales.of(days, days[0].first, days[-1].last)
    return Chart(
        revenue=outline((0, height) for height in sold),
        cancelled=outline(zip(sold, both, strict=True)),
        scale=[f"{amount:,.2f}".removesuffix(".00") for amount in (top, top / 2, 0)],
        days=[day_of(total.first), day_of(total.last)],
        hints=[
            (10 * number, f"{name}: {day.revenue:,.2f}, cancelled {day.cancelled_amount:,.2f}")
            for number, (name, day) in enumerate(zip(names, days, strict=True))
        ],
        text=(
            f"From {day_of(total.first)} to {day_of(total.last)}: {total.revenue:,.2f}, cancelled "
            f"{total.cancelled_amount:,.2f}. The table below has each day."
        ),
        rows=[Row.of(name, day) for name, day in reversed(list(zip(names, days, strict=True)))],
    )


def periods(days: Sequence[Sales], today: date) -> list[Row]:
    """Return today, this week, which began on Monday, and each of the weeks before."""
    monday = today - timedelta(today.weekday())
    rows = [
        Row.of("Today", Sales.of(days, today, today)),
        Row.of("This week", Sales.of(days, monday, today)),
    ]
    for number in range(1, WEEKS + 1):
        first = monday - timedelta(7 * number)
        last = first + timedelta(6)
        rows.append(Row.of(f"{day_of(first)} – {day_of(last)}", Sales.of(days, first, last)))
    return rows


def sales_context(today: date, with_money: bool) -> dict[str, Any]:
    """Return what was ordered in the days and weeks up to today."""
    month = [today - timedelta(back) for back in reversed(range(CHART_DAYS))]
    first = min(month[0], today - timedelta(today.weekday() + 7 * WEEKS))
    days = [
        Sales(day, day, orders, cancelled, amount - cancelled_amount, cancelled_amount)
        for day, orders, amount, cancelled, cancelled_amount in Order.objects.by_day(first, today)
    ]
    return {
        "with_money": with_money,
        "days_without": None if days else CHART_DAYS,
        "periods": periods(days, today),
        "chart": chart_of([Sales.of(days, day, day) for day in month]) if with_money else None,
    }


def start_page(request: HttpRequest) -> dict[str, Any]:
    """Return what this user's start page shows beside the list of tables."""

    def may_view(model: type[Model]) -> bool:
        return admin.site.get_model_admin(model).has_view_permission(request)

    orders, payments, products = may_view(Order), may_view(Payment), may_view(Product)
    context: dict[str, Any] = {}
    tasks = []
    if orders:
        url = reverse("admin:shop_order_to_pack")
        tasks.append(Task(count(Order.objects.to_pack()), "to pack", "Nothing to pack", url))
        context |= sales_context(timezone.localdate(), with_money=payments)
    if orders and payments:
        url = list_url(Order, paid="no")
        tasks.append(Task(count(Order.objects.unpaid()), "unpaid", "Nothing unpaid", url))
    if payments:
        url = list_url(Payment, trouble="yes")
        number = count(Payment.objects.in_trouble())
        label = ngettext("payment in trouble", "payments in trouble", number)
        tasks.append(Task(number, label, "No payments in trouble", url))
    if products:
        short = Product.objects.running_short()
        url = list_url(Product, stock="sold_out")
        tasks.append(Task(short["sold_out"], "sold out", "Nothing sold out", url))
        url = list_url(Product, stock="low")
        tasks.append(Task(short["low"], "low on stock", "Nothing low on stock", url))
    if orders and products:
        best: Any = Product.objects.bestsellers()
        context["bestsellers"] = [
            (key, name, f"{sold:,}", list_url(Order, product=key), f"{stock:,}")
            for key, name, sold, stock in best.values_list("pk", "name", "total_sold", "stock")
        ]
    if may_view(Job):
        url = list_url(Job, status__exact=JobStatus.DEAD)
        number = count(Job.objects.dead())
        tasks.append(Task(number, ngettext("dead job", "dead jobs", number), "No dead jobs", url))
    return context | {"tasks": tasks}
