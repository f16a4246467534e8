"""Tasks of the tests; each writes down that it ran, as a category of its own."""

import time

from django.db import connection
from django_tasks import TaskContext, task

from shop.jobs.worker import HopelessError
from shop.models import Category


@task
def write(name: str) -> None:
    Category.objects.create(category_name=name)


@task(takes_context=True)
def begin(context: TaskContext, name: str, seconds: float) -> None:
    """Write down that the attempt began, and take a while."""
    Category.objects.create(category_name=f"{name} {context.attempt}")
    time.sleep(seconds)
    Category.objects.create(category_name=f"{name} {context.attempt} done")


@task
def fail(text: str) -> None:
    raise ValueError(text)


@task(queue_name="money")
def pay() -> None:
    raise TimeoutError


@task
def give_up() -> None:
    raise HopelessError("there is nobody of that name")


@task
def lose_the_connection() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
