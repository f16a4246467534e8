"""Mail: written in the transaction that causes it, sent by a job."""

import re
import smtplib
from collections.abc import Collection, Mapping, Sequence
from email.utils import formatdate
from typing import Any, NamedTuple

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import connection
from django.template.loader import render_to_string
from django.utils import timezone
from django_tasks import task

from shop.database.statements import Prepared
from shop.jobs.models import SEND_WRITTEN, Mail
from shop.jobs.worker import MAIL, NEWS_LIFETIME, HopelessError

NOBODY = re.compile(r"(?:^|[@.])(?:invalid|example|example\.[^.@]+)$", re.I)
"""The hosts of addresses that no mail reaches, RFC 2606."""


# However many letters, one statement; in the order of their mails.
POST = Prepared(
    """
    WITH written AS (
        INSERT INTO mail (kind, customer_id, order_id, recipients, subject, text, html)
        SELECT * FROM unnest(
            %(kinds)s::text[], %(customers)s::integer[], %(orders)s::integer[], %(recipients)s::text[],
            %(subjects)s::text[], %(texts)s::text[], %(htmls)s::text[]
        )
        RETURNING mail_id
    )
    INSERT INTO job (task, arguments, queue)
    SELECT %(task)s, jsonb_build_object('args', jsonb_build_array(mail_id), 'kwargs', '{}'::jsonb), %(queue)s
    FROM written
    """,
    kinds="text[]",
    customers="integer[]",
    orders="integer[]",
    recipients="text[]",
    subjects="text[]",
    texts="text[]",
    htmls="text[]",
    task="text",
    queue="text",
)


class Letter(NamedTuple):
    """A mail that is about to be written down, of the columns that POST takes."""

    kind: str
    customer_id: int | None
    order_id: int | None
    recipients: str
    subject: str
    text: str
    html: str


def letter(
    kind: str,
    *,
    to: Collection[str],
    context: Mapping[str, Any],
    customer_id: int | None = None,
    order_id: int | None = None,
) -> Letter:
    """Return a mail of the templates shop/mail/<kind>.txt and .html, for post() to write down."""
    subject, text, html = rendered(kind, context)
    return Letter(kind, customer_id, order_id, "\n".join(to), subject, text, html)


def rendered(kind: str, context: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return subject, text and HTML of a mail; the subject is the first line of the text's template."""
    context = {**context, "seller": settings.SHOP_SELLER, "vat_rate": settings.SHOP_VAT_RATE}
    subject, _, text = render_to_string(f"shop/mail/{kind}.txt", context).strip().partition("\n")
    html = render_to_string(f"shop/mail/{kind}.html", {**context, "subject": subject})
    return subject, text.strip() + "\n", html


def post(letters: Sequence[Letter]) -> None:
    """Write mails down, to be sent once the transaction is committed."""
    if not letters:
        return
    kinds, customers, orders, recipients, subjects, texts, htmls = map(list, zip(*letters, strict=True))
    with connection.cursor() as cursor:
        POST.run(
            cursor,
            kinds=kinds,
            customers=customers,
            orders=orders,
            recipients=recipients,
            subjects=subjects,
            texts=texts,
            htmls=htmls,
            task=SEND_WRITTEN,
            queue=MAIL,
        )


@task(queue_name=MAIL)
def send_written(mail_id: int) -> None:
    """Send a mail that was written, unless it went out, or its customer was erased; refused ones too."""
    mail = Mail.objects.filter(pk=mail_id, sent_at=None).first()
    if not mail:
        return
    reason = "too old" if mail.written_at < timezone.now() - NEWS_LIFETIME else ""
    try:
        reason = reason or send(
            to=mail.recipients.split("\n"),
            subject=mail.subject,
            text=mail.text,
            html=mail.html,
            name=f"mail-{mail.pk}",
            date=formatdate(mail.written_at.timestamp()),
        )
    except HopelessError as failure:
        Mail.objects.filter(pk=mail_id, sent_at=None).update(dropped=str(failure))
        raise
    now = None if reason else timezone.now()
    Mail.objects.filter(pk=mail_id, sent_at=None).update(sent_at=now, dropped=reason)


@task
def tell_staff_of_failures(job_id: int, name: str) -> None:
    """Write staff a mail about a job that is tried once a day from now on."""
    if settings.SHOP_STAFF_EMAIL:
        post([letter("failing", to=settings.SHOP_STAFF_EMAIL, context={"job_id": job_id, "name": name})])


def send(*, to: Collection[str], subject: str, text: str, html: str = "", name: str, date: str) -> str:
    """Send a mail; return "" or why there is nobody to send it to.

    `name` makes a Message-ID, by which a receiver knows one that comes twice. Raises HopelessError if the
    server refuses the recipient for good, and what smtplib raises for what may go better later.
    """
    if not settings.DEBUG:
        to = [address for address in to if not NOBODY.search(address)]
    if not to:
        return "nobody has such an address"
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].strip("> ")
    headers = {
        "Message-ID": f"<{name}@{domain}>",
        "Date": date,
        "Auto-Submitted": "auto-generated",
    }
    message = EmailMultiAlternatives(subject, text, to=list(to), headers=headers)
    if html:
        message.attach_alternative(html, "text/html")
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as refused:
        codes = [code for code, _ in refused.recipients.values()]
        if all(500 <= code < 600 for code in codes):
            raise HopelessError(f"refused with {codes[0]}") from None
        raise
    return ""
