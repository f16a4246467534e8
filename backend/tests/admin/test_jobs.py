"""Jobs and mails in the admin."""

import re
from html import unescape

import pytest
from django.db.models import Model
from django.test import Client

from shop.models import Job, Mail, Order
from tests.admin.test_admin import keys_of, page_url


def filters_of(client: Client, table: type[Model]) -> list[str]:
    """Where the filters beside a list lead."""
    page = client.get(page_url(table, "changelist")).content.decode()
    _, _, beside = page.partition('id="changelist-filter"')
    return [unescape(link) for link in re.findall(r'<a href="(\?.+?)"', beside)]


OF_JOBS = ["status__exact=waiting", "status__exact=done", "status__exact=dead", "queue=default", "queue=mail"]
OF_JOBS += ["task=shop.jobs.gone", "task=shop.jobs.mail.send_written"]


@pytest.mark.parametrize(("table", "filters"), [(Job, OF_JOBS), (Mail, ["kind=paid", "kind=placed"])])
def test_the_filters_beside_a_list_work(
    admin_client: Client, placed: Order, table: type[Model], filters: list[str]
) -> None:
    Job.objects.create(task="shop.jobs.gone", arguments={}, queue="default", status="dead")
    Mail.objects.create(order=placed, kind="paid", recipients="a@b.de", subject="Paid", text="x")
    assert filters_of(admin_client, table) == ["?_facets=True", *(f"?{query}" for query in filters)]
    for query in filters:
        assert admin_client.get(f"{page_url(table, 'changelist')}?{query}").status_code == 200, query


def test_dead_jobs_are_found(admin_client: Client, placed: Order) -> None:
    dead = Job.objects.create(task="shop.jobs.gone", arguments={}, queue="default", status="dead")
    assert Job.objects.count() == 2
    assert keys_of(admin_client, Job, status__exact="dead") == [dead.pk]
