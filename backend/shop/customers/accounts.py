"""What a customer does with the account: register, change it, change the password or reset it."""

from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django_tasks import TaskContext, task

from shop.customers.models import Customer, RefreshToken
from shop.customers.tokens import is_of_password, password_digest
from shop.database.refusal import MissingError, Refusal, WrongPasswordError
from shop.jobs import mail
from shop.jobs.worker import MAIL

RESET_SECONDS = 60 * 60
"""So long the token of a forgotten password is good."""

RESET_SALT = "shop.customers.password-reset"


class EmailTakenError(Refusal):
    """Another customer has this e-mail address."""

    code = "email_taken"
    message = "There is a customer with this e-mail address already"


def register(*, password: str, **columns: str) -> Customer:
    """Make a customer of these columns. Raises EmailTakenError, and ValidationError of a weak password."""
    customer = Customer(**columns)
    check_strength(password, customer, "password")
    customer.set_password(password)
    with refusing_email():
        # PostgreSQL would log an address that is taken, with the error.
        Customer.objects.bulk_create([customer], ignore_conflicts=True)
    # Nobody else has a hash with this salt.
    registered = Customer.objects.filter(email=customer.email, password=customer.password).first()
    if not registered:
        raise EmailTakenError
    return registered


@contextmanager
def refusing_email() -> Iterator[None]:
    """Run what writes an e-mail address; raise EmailTakenError if another customer has it.

    Raises ValidationError for one that PostgreSQL would write in other small letters than Python.
    """
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        driver: Any = error.__cause__
        if driver.diag.constraint_name == "customer_email_unique":
            raise EmailTakenError from None
        raise ValidationError({"email": "Enter a valid email address."}) from None


def check_strength(password: str, customer: Customer | None, member: str) -> None:
    """Raise a ValidationError of this member if the password is too weak for the customer."""
    try:
        validate_password(password, customer)  # type: ignore[arg-type]
    except ValidationError as weak:
        raise ValidationError({member: weak.messages}) from None


def confirmed(customer_id: int, password: str) -> Customer:
    """Return the customer whose password this is; raise WrongPasswordError for another one.

    The hash stays as it is: with it the tokens would die that the customer has.
    """
    customer = Customer.objects.filter(pk=customer_id).first()
    if not customer or not customer.check_password(password):
        raise WrongPasswordError
    return customer


def change(*, customer_id: int, current_password: str | None = None, **columns: str) -> None:
    """Change columns of a customer, with the current password if it is given.

    Raises WrongPasswordError and EmailTakenError, and MissingError for a customer who was erased meanwhile.
    """
    customers = Customer.objects.without_erased().filter(pk=customer_id)
    if current_password is not None:
        customers = customers.filter(password=confirmed(customer_id, current_password).password)
    if not columns:
        return
    if (
        "email" in columns
        and Customer.objects.exclude(pk=customer_id).filter(email=columns["email"]).exists()
    ):
        raise EmailTakenError
    with refusing_email():
        changed = customers.update(**columns)
    if not changed and current_password is not None:
        raise WrongPasswordError  # it was changed meanwhile
    if not changed:
        raise MissingError("Customer not found")


def change_password(*, customer_id: int, current_password: str, new_password: str) -> None:
    """Change the password, with which all tokens die.

    Raises WrongPasswordError, also for the second of two at once, and ValidationError of a weak password.
    """
    customer = Customer.objects.filter(pk=customer_id).first()
    check_strength(new_password, customer, "new_password")
    replace_password(confirmed(customer_id, current_password), new_password)


@transaction.atomic
def replace_password(customer: Customer, new_password: str) -> None:
    """Store another password if the customer still has the one that was looked at."""
    known = customer.password
    customer.set_password(new_password)
    if not Customer.objects.filter(pk=customer.pk, password=known).update(password=customer.password):
        raise WrongPasswordError
    RefreshToken.objects.filter(customer=customer).delete()


def reset_secret(customer: Customer) -> str:
    """Return what a token is good for: the password that it replaces, of the address that it was sent to."""
    return f"{customer.password} {customer.email}"


def request_reset(*, email: str) -> None:
    """Have the customer with this address, if there is one, sent a token to set a new password with.

    Without one there is a job for nobody, which takes as long.
    """
    found = Customer.objects.without_erased().filter(email=email).values_list("pk", flat=True).first()
    send_reset.enqueue(found or 0, timezone.now().timestamp())


@task(queue_name=MAIL, takes_context=True)
def send_reset(context: TaskContext, customer_id: int, requested_at: float) -> None:
    """Mail a token, made now, unless it is too late for one."""
    customer = Customer.objects.without_erased().filter(pk=customer_id).first()
    if not customer or timezone.now().timestamp() > requested_at + RESET_SECONDS:
        return
    digest = password_digest(reset_secret(customer), settings.SECRET_KEY)
    token = signing.dumps([customer.pk, digest], salt=RESET_SALT)
    subject, text, html = mail.rendered("password_reset", {"name": str(customer), "token": token})
    mail.send(
        to=[customer.email],
        subject=subject,
        text=text,
        html=html,
        name=f"reset-{context.task_result.id}",
        date=formatdate(requested_at),
    )


def reset_password(*, token: str, new_password: str) -> None:
    """Set a new password with the token of a mail, once; raise ValidationError, of either."""
    dead = ValidationError({"token": "This token is not valid (any more)."})
    try:
        pk, digest = signing.loads(token, salt=RESET_SALT, max_age=RESET_SECONDS)
    except signing.BadSignature:
        raise dead from None
    customer = Customer.objects.without_erased().filter(pk=pk).first()
    if not customer or not is_of_password(digest, reset_secret(customer)):
        raise dead
    check_strength(new_password, customer, "new_password")
    try:
        replace_password(customer, new_password)
    except WrongPasswordError:
        raise dead from None
