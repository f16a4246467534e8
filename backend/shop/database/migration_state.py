"""Which migrations a database lacks."""

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor


def missing_migrations(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the migrations that are not applied, in their order, as "shop.0005_views".

    Raises OperationalError or InterfaceError when the database does not answer.
    """
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]
