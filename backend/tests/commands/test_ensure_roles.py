"""manage.py ensure_roles."""

from functools import partial

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.core.management.base import CommandError

from shop.admin.roles import ROLES, codenames
from tests.support.races import at_once

pytestmark = pytest.mark.django_db

MADE = "Given: Packing (all), Catalog (all), Service (all), Manager (all).\n"


def permissions() -> dict[str, set[str]]:
    """What each group may do."""
    return {
        group.name: {
            f"{permission.content_type.app_label}.{permission.codename}"
            for permission in group.permissions.all()
        }
        for group in Group.objects.all()
    }


def test_each_role_is_a_group_with_its_permissions(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("ensure_roles")
    assert capsys.readouterr().out == MADE
    made = permissions()
    assert list(made) == ["Packing", "Catalog", "Service", "Manager"]
    assert made == {role: {f"shop.{codename}" for codename in codenames(role)} for role in ROLES}
    assert made["Packing"] == {
        "shop.change_order",
        "shop.view_customer",
        "shop.view_delivery",
        "shop.view_invoice",
        "shop.view_order",
        "shop.view_orderhistory",
        "shop.view_orderitem",
        "shop.view_product",
    }
    assert not {"shop.delete_customer", "shop.delete_order", "shop.view_job"} & made["Service"]


def test_the_manager_may_do_everything_in_the_shop() -> None:
    """Whoever adds a model says in shop/admin/roles.py what each role may do with it."""
    there = {
        f"{action}_{model._meta.model_name}"
        for model in apps.get_app_config("shop").get_models()
        for action in (
            *model._meta.default_permissions,
            *(codename for codename, _ in model._meta.permissions),
        )
    }
    assert codenames("Manager") == there


def test_again_it_gives_what_is_missing_and_takes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("ensure_roles")
    packing = Group.objects.get(name="Packing")
    packing.permissions.add(
        Permission.objects.get(codename="view_mail"), Permission.objects.get(codename="view_user")
    )
    packing.permissions.remove(*Permission.objects.filter(codename__in=["view_order", "view_product"]))
    Group.objects.get(name="Catalog").delete()
    call_command("ensure_roles")
    after = permissions()
    call_command("ensure_roles")
    assert permissions() == after
    assert after["Packing"] == {f"shop.{codename}" for codename in codenames("Packing")} | {
        "shop.view_mail",
        "auth.view_user",
    }
    assert capsys.readouterr().out == (
        f"{MADE}Given: Packing (view_order, view_product), Catalog (all).\nAll roles have what they need.\n"
    )


def test_a_permission_that_is_not_there_is_named_and_nothing_is_made() -> None:
    Permission.objects.filter(codename="view_mail").delete()
    with pytest.raises(CommandError, match=r"^the permission view_mail is missing: run manage\.py migrate$"):
        call_command("ensure_roles")
    assert not Group.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_at_once() -> None:
    assert at_once(*[partial(call_command, "ensure_roles")] * 2) == [None, None]
    assert permissions() == {role: {f"shop.{codename}" for codename in codenames(role)} for role in ROLES}
