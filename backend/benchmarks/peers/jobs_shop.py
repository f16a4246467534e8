"""The jobs of the shop: enqueued one by one, then worked off by the loop of `manage.py run_jobs`."""

import sys
from threading import Event

import django
from django_tasks import task

from benchmarks.peers.jobs_timed import timed

django.setup()

ended = Event()


@task
def nothing(number: int) -> None:
    pass


@task
def end() -> None:
    ended.set()


def main() -> None:
    from shop.jobs.worker import Schedule, run_queue

    def enqueue() -> None:
        for number in range(int(sys.argv[1])):
            nothing.enqueue(number)
        end.enqueue()

    timed(enqueue, lambda: run_queue("default", Schedule({}), ended))
