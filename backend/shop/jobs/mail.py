"""Mail: what is sent belongs to the transaction that causes it."""

import logging
from threading import Thread

from django.core import mail
from django.db import transaction

logger = logging.getLogger(__name__)


def send_mail(*, to: str, subject: str, text: str) -> None:
    """Send a mail when the transaction is committed; the caller does not wait for it.

    Without a recipient none is sent, which takes as long.
    """

    def deliver() -> None:
        try:
            mail.send_mail(subject, text, None, [to] if to else [])
        except Exception as failure:  # noqa: BLE001 - its text may have the address
            logger.error("a mail was not sent: %s", type(failure).__name__)

    transaction.on_commit(lambda: Thread(target=deliver, name="mail", daemon=True).start())
