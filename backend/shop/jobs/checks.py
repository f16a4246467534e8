"""What `manage.py check --deploy` says of mail."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Info, register


@register(deploy=True)
def check_mail(**_: Any) -> list[CheckMessage]:
    """Say that mails wait where production has no server to send them by."""
    if settings.DEBUG or settings.EMAIL_HOST:
        return []
    hint = "Set EMAIL_HOST. A mail that has waited for 7 days is not sent any more."
    return [Info("No mail is sent: there is no mail server.", hint, id="shop.I001")]
