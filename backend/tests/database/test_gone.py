"""Who is gone holds nothing back, as production/postgresql.conf has it."""

import os
import re
import socket
import threading
from contextlib import suppress
from pathlib import Path

import psycopg2
import pytest
from django.db import connection

from shop.models import Product
from tests.support.races import session, wait_until

CONF = Path(__file__).parents[2] / "production" / "postgresql.conf"


@pytest.mark.django_db(transaction=True)
def test_the_statement_of_a_client_that_was_killed_ends(gloves: Product) -> None:
    interval = re.findall(r"^client_connection_check_interval = (\w+)$", CONF.read_text(), re.M)
    with session() as gone, connection.cursor() as cursor:
        gone.execute("SELECT set_config('client_connection_check_interval', %s, false)", interval or ["0"])
        gone.execute("SELECT FROM product FOR UPDATE")

        def sleep() -> None:
            with suppress(psycopg2.OperationalError):
                gone.execute("SELECT pg_sleep(60)")

        thread = threading.Thread(target=sleep)
        thread.start()

        def is_asleep() -> bool:
            cursor.execute("SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            return bool(cursor.rowcount)

        wait_until(is_asleep)
        with socket.socket(fileno=os.dup(gone.connection.fileno())) as client:
            client.shutdown(socket.SHUT_RDWR)
        thread.join()
        cursor.execute("SET lock_timeout = '10s'")
        Product.objects.update(stock=1)
        cursor.execute("RESET lock_timeout")
    assert Product.objects.get().stock == 1
