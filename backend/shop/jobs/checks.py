"""What `manage.py check` says of mail."""

from typing import Any

from django.core.checks import CheckMessage, Info

from shop.jobs.worker import sends_mail


def check_mail(**_: Any) -> list[CheckMessage]:
    """Say that mails wait where production has no server to send them by."""
    if sends_mail():
        return []
    hint = "Set EMAIL_HOST. A mail that has waited for 7 days is not sent any more."
    return [Info("No mail is sent: there is no mail server.", hint, id="shop.I001")]
