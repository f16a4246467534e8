"""Values that no page of the admin would send: a message or a 400, never a failure."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from shop.models import Cart, Customer, Order, Product
from tests.admin.test_forms import change_url, errors_of, open_form, save

NO_CHOICE = "Select a valid choice. That choice is not one of the available choices."


@pytest.mark.slow
def test_a_choice_that_is_none(admin_client: Client, order: Order, cart: Cart, gloves: Product) -> None:
    for obj, field in (
        (gloves, "category"),
        (order, "customer"),
        (order, "items-0-product"),
        (cart, "items-0-product"),
        (cart.items.get(), "cart"),
    ):
        form = open_form(admin_client, change_url(obj))
        for value in ("abc", "0", "1" * 30, "9" * 5000, "\0", "²", "1e5", "-1"):
            response = admin_client.post(change_url(obj), form | {field: value})
            assert response.status_code == 200, (field, value)
            assert errors_of(response) == [NO_CHOICE], (field, value)


@pytest.mark.slow
@pytest.mark.parametrize("value", ["abc", "1" * 30, "\0", "\r\n", "\ufeff"])
def test_what_a_page_showed_may_be_forged(
    admin_client: Client, order: Order, cart: Cart, gloves: Product, deborah: Customer, value: str
) -> None:
    for obj in (order, cart, gloves, deborah, gloves.category, cart.items.get()):
        form = open_form(admin_client, change_url(obj))
        forged = {name: value for name in form if name.startswith("initial-")}
        assert admin_client.post(change_url(obj), form | forged).status_code in (200, 302)
        assert admin_client.post(change_url(obj), forged).status_code == 200
        without = {name: text for name, text in form.items() if name not in forged}
        assert admin_client.post(change_url(obj), without).status_code in (200, 302)


@pytest.mark.parametrize("text", ["abc", "1" * 30, "9" * 5000, "\0", "²"])
@pytest.mark.parametrize("table", ["user", "group"])
def test_a_selection_of_staff_that_is_none(admin_client: Client, table: str, text: str) -> None:
    selection = {"action": "delete_selected", "_selected_action": text, "index": "0"}
    assert admin_client.post(reverse(f"admin:auth_{table}_changelist"), selection).status_code == 400


@pytest.mark.parametrize("query", ["date_joined__year=-1", "date_joined__year=99999", "q=%2BAAA-"])
@pytest.mark.parametrize("charset", ["utf-8", "utf-7"])
def test_a_list_of_staff_asked_for_with_nonsense(admin_client: Client, query: str, charset: str) -> None:
    """In UTF-7 +AAA- is a null byte."""
    url = f"{reverse('admin:auth_user_changelist')}?{query}"
    response = admin_client.generic("GET", url, b"", f"text/plain; charset={charset}")
    assert response.status_code in (200, 302, 400)
    response = admin_client.generic("GET", f"{url}&username=%2BAAA-", b"", f"text/plain; charset={charset}")
    assert response.status_code in (200, 302, 400)


def test_staff_and_groups_are_kept_as_before(admin_client: Client, admin_user: User) -> None:
    group = Group.objects.create(name="Shop")
    url = reverse("admin:auth_user_change", args=[admin_user.pk])
    form = open_form(admin_client, url) | {"first_name": "Ann", "groups": str(group.pk)}
    form |= dict.fromkeys(("is_active", "is_staff", "is_superuser"), "on")
    save(admin_client, url, form)
    admin_user.refresh_from_db()
    assert (admin_user.first_name, list(admin_user.groups.all())) == ("Ann", [group])
    url = reverse("admin:auth_group_delete", args=[group.pk])
    assert admin_client.post(url, {"post": "yes"}).status_code == 302
    assert not Group.objects.exists()


@pytest.mark.parametrize(
    ("model", "field"), [("order", "items"), ("customer", "cart"), ("product", "order_items")]
)
def test_a_completion_of_what_is_no_field(admin_client: Client, model: str, field: str) -> None:
    query = f"app_label=shop&model_name={model}&field_name={field}&term="
    assert admin_client.get(f"/admin/autocomplete/?{query}").status_code == 403


def test_a_page_asked_for_by_a_field_without_a_name(
    admin_client: Client, admin_user: User, order: Order, gloves: Product
) -> None:
    for obj in (admin_user, order, gloves):
        for page in ("change", "delete"):
            url = reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_{page}", args=[obj.pk])
            assert admin_client.get(url, {"_to_field": ""}).status_code == 200, url
            assert admin_client.get(url, {"_to_field": "nothing"}).status_code == 400, url
