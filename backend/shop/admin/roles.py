"""What each role of the staff may do: groups, which `manage.py ensure_roles` makes."""

from collections.abc import Mapping, Sequence

from django.contrib.auth.models import Group, Permission
from django.db import transaction

LOOK = ("view",)
EVERYTHING = ("view", "add", "change", "delete")

ROLES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "Packing": {
        "customer": LOOK,
        "delivery": LOOK,
        "invoice": LOOK,
        "order": ("view", "change"),
        "orderhistory": LOOK,
        "orderitem": LOOK,
        "product": LOOK,
    },
    "Catalog": {
        "category": EVERYTHING,
        "product": EVERYTHING,
    },
    "Service": {
        "cart": EVERYTHING,
        "cartitem": EVERYTHING,
        "category": LOOK,
        "customer": ("view", "add", "change"),
        "delivery": LOOK,
        "invoice": LOOK,
        "mail": LOOK,
        "order": ("view", "add", "change"),
        "orderhistory": LOOK,
        "orderitem": EVERYTHING,
        "payment": ("view", "change"),
        "paymentevent": LOOK,
        "product": LOOK,
    },
    "Manager": {
        "cart": EVERYTHING,
        "cartitem": EVERYTHING,
        "category": EVERYTHING,
        "customer": EVERYTHING,
        "delivery": EVERYTHING,
        "invoice": LOOK,
        "job": ("view", "change", "delete"),
        "mail": LOOK,
        "order": EVERYTHING,
        "orderhistory": EVERYTHING,
        "orderitem": EVERYTHING,
        "payment": ("view", "change"),
        "paymentevent": LOOK,
        "product": EVERYTHING,
    },
}
"""For each group what it may do with the rows of a model; the two make the codename, such as view_order."""


class NoPermissionError(LookupError):
    """A permission that a role wants is not in the database; the message is its codename."""


def codenames(role: str) -> set[str]:
    return {f"{action}_{model}" for model, actions in ROLES[role].items() for action in actions}


@transaction.atomic
def ensure_roles() -> dict[str, list[str]]:
    """Make the groups that are missing, and give each what it lacks; what else it may do, it keeps.

    Returns the codenames that were given, by group. Raises NoPermissionError.
    """
    there = {
        permission.codename: permission
        for permission in Permission.objects.filter(content_type__app_label="shop")
    }
    given = {}
    for role in ROLES:
        group, _ = Group.objects.get_or_create(name=role)
        has = group.permissions.filter(content_type__app_label="shop").values_list("codename", flat=True)
        lacking = sorted(codenames(role) - set(has))
        for codename in lacking:
            if codename not in there:
                raise NoPermissionError(codename)
        group.permissions.add(*(there[codename] for codename in lacking))
        if lacking:
            given[role] = lacking
    return given
