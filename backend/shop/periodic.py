"""What is done again and again, once in each slot of so many seconds however many workers there are."""

from collections.abc import Mapping

from django.core.management import call_command
from django_tasks import task
from django_tasks.base import Task

from shop.catalog.search import renew_words
from shop.payments.expiring import ask_open, complete_orders, expire_orders

MINUTE = 60
HOUR = 60 * MINUTE


@task
def prune() -> None:
    """Let go what need not be kept any more."""
    call_command("prune", verbosity=0)


@task
def renew_search_words() -> None:
    """Correct what is typed to the words that the products have now."""
    renew_words()


PERIODIC: Mapping[Task, int] = {
    prune: HOUR,
    renew_search_words: HOUR,
    expire_orders: MINUTE,
    ask_open: 15 * MINUTE,
    complete_orders: HOUR,
}
