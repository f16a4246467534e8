"""What operators ask a process: is it alive, is it ready to serve."""

from collections.abc import Callable
from http import HTTPStatus

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from shop.api import METHODS, error


def operations(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: answer what operators ask before all else.

    Health checks come every few seconds, by IP address and plain http: neither the allowed hosts nor the
    redirect to https nor the log is for them.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        answer = ANSWERS.get(request.path_info)
        if not answer:
            return get_response(request)
        if request.method not in METHODS:
            return error(HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed", {"Allow": ", ".join(METHODS)})
        response = answer()
        response["Cache-Control"] = "no-store"
        return response

    return middleware


def healthz() -> HttpResponse:
    """Say that the process is alive."""
    return JsonResponse({"status": "ok"})


def readyz() -> HttpResponse:
    """Say whether the database answers and has all tables; 503 with what is missing if not."""
    try:
        missing = missing_migrations()
    except Error:
        return error(HTTPStatus.SERVICE_UNAVAILABLE, "The database is not available")
    if missing:
        return error(HTTPStatus.SERVICE_UNAVAILABLE, f"Migrations are missing: {', '.join(missing)}")
    return JsonResponse({"status": "ok"})


def missing_migrations() -> list[str]:
    """Return the migrations that the database has yet to see, in their order; raise Error if it is away.

    Once there were none, a process asks only whether the database answers: its code does not change.
    """
    global complete
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    if complete:
        return []
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    complete = not plan
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


complete = False
"""Whether all migrations were found in the database."""


ANSWERS: dict[str, Callable[[], HttpResponse]] = {"/healthz": healthz, "/readyz": readyz}
