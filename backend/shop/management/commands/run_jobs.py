"""`manage.py run_jobs`: the worker, which does what waits to be done."""

import logging
import signal
from threading import Event
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from shop.jobs.checks import check_mail
from shop.jobs.worker import run
from shop.periodic import PERIODIC

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """Run until SIGTERM or Ctrl-C; the jobs in hand are done to their end."""

    help = (
        "Does the jobs that are due, one at a time of each queue, until it is told to end. Several may run."
    )

    def handle(self, **_: Any) -> None:
        for said in check_mail():
            logger.warning("%s %s", said.msg, said.hint)
        ended = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        run(settings.TASKS["default"]["QUEUES"], PERIODIC, ended)
