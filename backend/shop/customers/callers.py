"""Who an access token belongs to, in one query."""

import json
from collections.abc import Mapping
from functools import cache
from inspect import signature
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Permission
from django.db.models import Exists, Func, OuterRef, Q, QuerySet, UUIDField, Value

from shop.api.audience import Caller, Target
from shop.customers.models import RefreshToken
from shop.customers.tokens import accounts_of, is_of_password, read_access
from shop.database.statements import Statement

ROW = {"password": "password", "may": "may", "reaches": "reaches"}


class Uuid(Func):
    """A UUID of its two halves, as a Statement takes integers."""

    template = "encode(int8send(%(expressions)s), 'hex')::uuid"
    arg_joiner = ") || int8send("
    output_field = UUIDField()


def halves(uuid: UUID) -> list[int]:
    return [int.from_bytes(half, signed=True) for half in (uuid.bytes[:8], uuid.bytes[8:])]


def find_caller(token: str, permission: str, target: Target | None, ids: Mapping[str, int]) -> Caller | None:
    """Return the customer or staff user of an access token, None if it is not valid (any more).

    It is not when its family was revoked, the account is gone or closed, or the password was changed.
    """
    claims = read_access(token)
    if not claims:
        return None
    statement, names = statement_for(claims.kind, permission, target)
    for row in statement.fetch(claims.pk, *halves(claims.family), *(ids[name] for name in names)):
        account = json.loads(row)
        if is_of_password(claims.password_digest, account["password"]):
            return Caller(claims.kind, claims.pk, account["may"], account["reaches"], has_token=True)
    return None


@cache
def statement_for(kind: str, permission: str, target: Target | None) -> tuple[Statement, tuple[str, ...]]:
    """Return what finds an account of this kind, and the names of the ids that the target takes."""
    names = tuple(signature(target).parameters) if target else ()

    def build(pk: Any, high: Any, low: Any, *ids: Any) -> QuerySet[Any]:
        whose = "customer" if kind == "customer" else "user"
        families = RefreshToken.objects.filter(**{"family": Uuid(high, low), whose: OuterRef("pk")})
        may: Any = Value(False)
        if kind == "staff" and permission:
            may = Q(is_superuser=True) | Exists(granted(permission))
        reaches: Any = Value(True)
        if target:
            named = target(*ids)
            if kind == "customer" and "customer_id" not in names:
                named = named.filter(customer_id=OuterRef("pk"))
            reaches = Exists(named)
        accounts: Any = accounts_of(kind).filter(Exists(families), pk=pk)
        found: QuerySet[Any] = accounts.annotate(may=may, reaches=reaches)
        return found

    return Statement(build, ROW, 3 + len(names)), names


def granted(permission: str) -> QuerySet[Permission]:
    """Return a permission such as shop.view_order if the user around has it, or a group of theirs."""
    app, _, codename = permission.partition(".")
    return Permission.objects.filter(
        Q(user=OuterRef("pk")) | Q(group__user=OuterRef("pk")), content_type__app_label=app, codename=codename
    )
