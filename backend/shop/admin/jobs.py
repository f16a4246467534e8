"""Jobs and mails, as the staff see them."""

from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import ngettext

from shop.admin.base import LookOnly, log_changes
from shop.jobs.models import Job, JobQuerySet, Mail

KINDS = ("placed", "paid", "shipped", "cancelled", "refunded", "low_stock", "payment_trouble", "failing")
"""The kinds of mails that are written down: all but those with a token."""


class FixedFilter(admin.SimpleListFilter):
    """A column's values beside the list, known without looking for them in all rows."""

    values: Sequence[str]

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in self.values]

    def queryset(self, _: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(**self.used_parameters)


class QueueFilter(FixedFilter):
    title = parameter_name = "queue"
    values = settings.TASKS["default"]["QUEUES"]


class KindFilter(FixedFilter):
    title = parameter_name = "kind"
    values = KINDS


@admin.register(Job)
class JobAdmin(LookOnly):
    list_display = ("job_id", "task", "status", "attempts", "enqueued_at", "due_at", "finished_at", "error")
    list_filter = ("status", QueueFilter)
    link_lookups = ("status__exact", "queue")
    search_fields = ("task",)
    search_help_text = "The number of a job, or some of the name of its task"
    number_field = "job_id"
    sortable_by = ("job_id",)
    ordering = ("-job_id",)
    actions = ("retry", "discard")

    @admin.action(permissions=["retry"], description="Try selected jobs again now")
    def retry(self, request: HttpRequest, queryset: JobQuerySet) -> None:
        """Let dead jobs begin anew, and waiting ones that failed go on before their time."""
        self.act(
            request,
            queryset.retry,
            "Tried again.",
            "%d job will be tried again.",
            "%d jobs will be tried again.",
        )

    @admin.action(permissions=["retry"], description="Discard selected dead jobs")
    def discard(self, request: HttpRequest, queryset: JobQuerySet) -> None:
        """Delete dead jobs."""
        self.act(request, queryset.discard, "Discarded.", "%d job was discarded.", "%d jobs were discarded.")

    def act(self, request: HttpRequest, act: Callable[[], list[int]], log: str, one: str, many: str) -> None:
        """Do this with the jobs that are as it wants them, log it for each, and say for how many."""
        with transaction.atomic():
            keys = act()
            log_changes(request, Job, dict.fromkeys(keys, log))
        text = ngettext(one, many, len(keys)) % len(keys)
        self.message_user(request, text, messages.SUCCESS if keys else messages.WARNING)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("shop.change_job")


@admin.register(Mail)
class MailAdmin(LookOnly):
    list_display = ("mail_id", "kind", "recipients", "subject", "written_at", "sent_at", "dropped")
    list_filter = (KindFilter,)
    link_lookups = ("kind",)
    search_fields = ("customer__email__exact",)
    search_help_text = "The number of an order, or the e-mail address of a customer"
    number_field = "order_id"
    sortable_by = ("mail_id", "written_at")
    ordering = ("-mail_id",)
