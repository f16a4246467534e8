"""What callers entrust to the shop is told to nobody, whatever they do and whatever breaks meanwhile.

That is passwords, tokens, keys, e-mail addresses, names and addresses; nobody is the logs of the shop and of
PostgreSQL, the metrics, the text of errors, Sentry, and the admin's history.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg2
import pytest
from django.contrib.auth.hashers import make_password
from django.core import signing

from shop.customers.accounts import RESET_SALT, reset_secret
from shop.customers.models import Customer
from shop.customers.tokens import password_digest
from tests import BACKEND
from tests.support.cluster import copy_data
from tests.support.serving import Answer, Shop, serving
from tests.webshop.test_sentry import Sentry, sentry  # noqa: F401 (a fixture)
from webshop.postgres import DATABASE, USER, log_of, postgres

pytestmark = pytest.mark.slow

MARK = "zq"
"""What all secrets begin with. It is short, as the text of an error may hold the beginning of one alone."""

TAKEN = f"{MARK}-taken@example.com"
PASSWORD, OTHER_PASSWORD = f"{MARK} a mountain of numbers", f"{MARK} an engine of words"
ADDRESS = {name: f"{MARK} {name}" for name in ("first_name", "last_name", "strasse", "plz", "ort")}
FORM = "application/x-www-form-urlencoded"


def log_settings() -> dict[str, str]:
    """What PostgreSQL is told in production about its log."""
    text = (BACKEND / "production" / "postgresql.conf").read_text()
    return dict(re.findall(r"^(log_(?!timezone)\w+) = (\w+)", text, re.M))


class Session:
    """Somebody who calls every write, rightly and wrongly, and remembers what must stay between them."""

    def __init__(self, shop: Shop, cursor: Any) -> None:
        self.shop, self.cursor = shop, cursor
        self.tokens: set[str] = set()
        self.session_key = MARK
        self.refused: list[Answer] = []
        self.statuses: set[int] = set()
        self.rounds = 0

    def ask(self, method: str, path: str, body: Any = None, token: str = "", **headers: str) -> Any:
        """Send a value as JSON, or bytes as they are; return what the answer holds, if it is a good one."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers = {"Content_Type": "application/json", **headers}
        answer = self.shop.ask(method, f"/shop/api/{path}", content, headers)
        self.statuses.add(answer.status)
        if answer.status >= 400:
            self.refused.append(answer)
            return {}
        return json.loads(answer.body) if answer.body else {}

    def sign_in(self, **names: str) -> dict[str, str]:
        found = self.ask("POST", "token/", names)
        self.tokens |= {found[name] for name in ("access", "refresh") if name in found}
        return {"access": f"{MARK}.{MARK}.{MARK}", "refresh": MARK, **found}

    def reset_token(self, customer_id: int) -> str:
        """What the mail of a forgotten password would hold."""
        try:
            self.cursor.execute("SELECT email, password FROM customer WHERE customer_id = %s", [customer_id])
            email, password = self.cursor.fetchone()
        except (psycopg2.Error, TypeError):  # the table is broken on purpose, or the customer was erased
            return MARK
        digest = password_digest(reset_secret(Customer(email=email, password=password)), "of the tests")
        token = signing.dumps([customer_id, digest], salt=RESET_SALT)
        self.tokens.add(token)
        return token

    def failures(self, status: int) -> int:
        return [answer.status for answer in self.refused].count(status)

    def do_everything(self, customer_id: int) -> None:
        """Do all that a customer and the staff do; some of it fails if something is broken."""
        self.rounds += 1
        email = f"{MARK}-{self.rounds}@example.com"
        ada = {**ADDRESS, "email": email, "password": PASSWORD}
        made = self.ask("POST", "customer/", ada)
        self.ask("POST", "customer/", ada)
        self.ask("POST", "customer/", {**ada, "password": MARK, "email": f"{MARK}@", "plz": MARK * 10})
        tokens = self.sign_in(email=email, password=PASSWORD)
        access, customer_id = tokens["access"], made.get("customer_id", customer_id)
        own = f"customer/{customer_id}/"
        self.sign_in(email=email, password=f"{MARK} {MARK}")
        self.sign_in(email=f"nobody-{email}", password=PASSWORD)
        clerk = self.sign_in(username=f"{MARK}-staff", password=PASSWORD)["access"]
        self.sign_in(username=f"{MARK}-nobody", password=PASSWORD)
        self.ask("POST", "token/", {"email": email, "password": PASSWORD, "username": MARK})
        self.ask("POST", "token/", f'{{"email": "{email}", "password": "{PASSWORD}"'.encode())
        self.ask("POST", "token/", urlencode({"email": email}).encode(), Content_Type=FORM)
        self.ask("POST", "token/", json.dumps(ada).encode() + b" " * 70_000)
        again = self.ask("POST", "token/refresh/", {"refresh": tokens["refresh"]})
        self.tokens |= {again[name] for name in ("access", "refresh") if name in again}
        self.ask("POST", "token/refresh/", {"refresh": MARK})
        self.ask("GET", own, token=access)
        self.ask("GET", own, token=f"{access}{MARK}")
        self.ask("GET", own, Authorization=f"Basic {MARK}", Cookie=f"sessionid={MARK}")
        changes = {"first_name": f"{MARK} 2", "strasse": f"{MARK} 2"}
        self.ask("PATCH", own, changes, token=access)
        self.ask("PATCH", own, {"email": f"new-{email}", "current_password": PASSWORD}, token=access)
        self.ask("PATCH", own, {"email": f"new-{email}", "current_password": MARK}, token=access)
        self.ask("PATCH", own, {"email": TAKEN, "current_password": PASSWORD}, token=access)
        self.ask("PATCH", own, {"email": email, "current_password": PASSWORD}, token=access)
        self.buy(own, access, clerk)
        self.ask("GET", f"{own}export/", token=access)
        self.ask("POST", "password-reset/", {"email": email})
        passwords = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
        self.ask("POST", f"{own}password/", {**passwords, "current_password": MARK}, token=access)
        self.ask("POST", f"{own}password/", {**passwords, "new_password": f"{MARK}1"}, token=access)
        self.ask("POST", f"{own}password/", passwords, token=access)
        confirmed = {"token": self.reset_token(customer_id), "new_password": PASSWORD}
        for _ in range(2):
            self.ask("POST", "password-reset/confirm/", confirmed)
        tokens = self.sign_in(email=email, password=PASSWORD)
        self.ask("POST", "token/revoke/", {"refresh": tokens["refresh"]})
        access = self.sign_in(email=email, password=PASSWORD)["access"]
        self.ask("DELETE", own, {"current_password": MARK}, token=access)
        self.ask("DELETE", own, {"current_password": PASSWORD}, token=access)

    def buy(self, own: str, access: str, clerk: str) -> None:
        self.ask("POST", f"{own}cart/items/", {"product_id": 1, "quantity": 1}, token=access)
        self.ask("PUT", f"{own}cart/items/1/", {"quantity": 2}, token=access)
        self.ask("PUT", f"{own}cart/items/1/", {"quantity": MARK}, token=access)
        self.ask("DELETE", f"{own}cart/items/2/", token=access)
        key, body = f"{MARK}-{self.rounds}", {"expected_total": "2.00", "address": ADDRESS}
        self.ask("POST", f"{own}orders/", {**body, "expected_total": "1.00"}, access, Idempotency_Key=key)
        order = self.ask("POST", f"{own}orders/", body, access, Idempotency_Key=key).get("order_id", 1)
        self.ask("POST", f"{own}orders/", {"expected_total": "2.00"}, access, Idempotency_Key=key)
        self.ask("POST", f"{own}orders/", body, access, Idempotency_Key=f"{key}ü")
        self.ask("DELETE", own, {"current_password": PASSWORD}, token=access)
        status = {"status": "processing", "carrier": MARK, "tracking_number": f"{MARK} 1"}
        self.ask("POST", f"order/{order}/status/", status, token=clerk)
        self.ask("POST", f"order/{order}/status/", {"status": MARK}, token=clerk)
        self.ask("POST", f"order/{order}/status/", status, token=access)
        self.ask("POST", f"{own}orders/{order}/cancel/", token=access)
        self.ask("DELETE", f"{own}cart/", token=access)

    def use_the_admin(self) -> None:
        """Add and change a customer there."""
        page = self.shop.get("/admin/login/")
        (csrf,) = re.findall(r"csrftoken=(\w+)", str(page.headers))
        cookie = f"csrftoken={csrf}"

        def send(path: str, **fields: str) -> Answer:
            body = urlencode({"csrfmiddlewaretoken": csrf, **fields}).encode()
            return self.shop.post(f"/admin/{path}", body, Cookie=cookie, Content_Type=FORM)

        assert send("login/", username=f"{MARK}-staff", password=MARK).status == 200
        fields = {"csrfmiddlewaretoken": csrf, "username": f"{MARK}-staff", "password": PASSWORD}
        with closing(HTTPConnection("127.0.0.1", self.shop.port)) as line:
            headers = {"Cookie": cookie, "Content-Type": FORM}
            line.request("POST", "/admin/login/", urlencode(fields), headers)
            (self.session_key,) = re.findall(r"sessionid=(\w+)", str(line.getresponse().headers))
        cookie += f"; sessionid={self.session_key}"
        person = {"first_name": "Ann", "last_name": "Lee", "strasse": MARK}
        email, password = f"{MARK}-admin@example.com", PASSWORD
        assert send("shop/customer/add/", **person, email=email, new_password=password).status == 302
        self.cursor.execute("SELECT customer_id FROM customer WHERE email = %s", [email])
        (customer_id,) = self.cursor.fetchone()
        path = f"shop/customer/{customer_id}/change/"
        form = self.shop.get(f"/admin/{path}", Cookie=cookie).body.decode()
        person |= dict(re.findall(r'<input type="hidden" name="(initial[^"]*)" value="([^"]*)"', form))
        assert send(path, **person, email=f"2-{email}", new_password=OTHER_PASSWORD).status == 302
        assert send(path, **person, email=TAKEN, new_password=MARK).status == 200


BREAKS = {
    **{
        f"{table}.{column}": (
            f'ALTER TABLE "{table}" RENAME COLUMN {column} TO other_name',
            f'ALTER TABLE "{table}" RENAME COLUMN other_name TO {column}',
        )
        for table, column in [
            ("customer", "email"),
            ("auth_user", "username"),
            ("refresh_token", "token_hash"),
            ("delivery", "carrier"),
            ("delivery", "plz"),
            ("idempotency_key", "key"),
        ]
    },
    "a constraint": (
        "ALTER TABLE delivery ADD CONSTRAINT nowhere CHECK (carrier IS NULL) NOT VALID",
        "ALTER TABLE delivery DROP CONSTRAINT nowhere",
    ),
    "the length of a carrier": (
        "ALTER TABLE delivery ALTER carrier TYPE varchar(1) USING ''",
        "ALTER TABLE delivery ALTER carrier TYPE varchar(50)",
    ),
}
"""What makes statements fail in the middle, with what mends it."""


@contextmanager
def psql(host: Path) -> Iterator[Any]:
    with closing(psycopg2.connect(host=host, dbname=DATABASE, user=USER)) as other:
        other.autocommit = True
        with other.cursor() as cursor:
            yield cursor


@contextmanager
def ending_connections(host: Path) -> Iterator[None]:
    """End each connection of the shop that waits for a lock, in the middle of its statement."""
    statement = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        "AND query_start < clock_timestamp() - interval '20 ms'"
    )
    over = threading.Event()

    def run() -> None:
        with psql(host) as cursor:
            while not over.wait(0.02):
                cursor.execute(statement)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_nothing_is_told(tmp_path: Path, migrated_data: Path, sentry: Sentry) -> None:  # noqa: F811
    copy_data(migrated_data, tmp_path)
    with (
        postgres(tmp_path / "data", fsync="off", **log_settings()) as server,
        psql(server.socket_dir) as cursor,
    ):
        cursor.execute(
            "INSERT INTO category (category_name) VALUES ('C');"
            "INSERT INTO product (name, price, stock, category_id) "
            "VALUES ('A', 1, 1000, 1), ('B', 1, 1000, 1);"
            "INSERT INTO customer (first_name, last_name, email, password) "
            "VALUES ('Ann', 'Lee', %s, '!');"
            "INSERT INTO auth_user (username, password, is_superuser, is_staff, is_active, first_name, "
            "last_name, email, date_joined) VALUES (%s, %s, true, true, true, '', '', %s, now())",
            [TAKEN, f"{MARK}-staff", make_password(PASSWORD, hasher="md5"), f"{MARK}-staff@example.com"],
        )
        variables = {
            "DATABASE_HOST": str(server.socket_dir),
            "DATABASE_NAME": DATABASE,
            "DATABASE_USERNAME": USER,
            "DATABASE_PORT": "5432",
            "DATABASE_PASSWORD": "",
            "DJANGO_SETTINGS_MODULE": "tests.support.cheap_hash",
            "SENTRY_DSN": f"http://key@127.0.0.1:{sentry.server_port}/7",
            "SHOP_RATE_LIMITS": "off",
            "SHOP_API_AUTH": "required",
        }
        with serving(tmp_path, "--workers=1", **variables) as shop:
            session = Session(shop, cursor)
            session.do_everything(1)
            assert session.statuses == {200, 201, 202, 204, 400, 401, 403, 404, 409, 413, 415, 422}
            session.use_the_admin()
            for name, (breaking, mending) in BREAKS.items():
                cursor.execute(breaking)
                failures = session.failures(500)
                session.do_everything(1)
                cursor.execute(mending)
                assert session.failures(500) > failures, name
            for tables in ("customer, auth_user", "cart, idempotency_key, order_history"):
                failures = session.failures(503)
                with ending_connections(server.socket_dir), psql(server.socket_dir) as other:
                    other.execute(f"BEGIN; LOCK TABLE {tables} IN EXCLUSIVE MODE")
                    session.do_everything(1)
                    other.execute("COMMIT")
                assert session.failures(503) > failures
            sentry.events(10)
            metrics = shop.get("/metrics").body.decode()
            cursor.execute("SELECT object_repr || change_message FROM django_admin_log")
            history = "".join(text for (text,) in cursor.fetchall())
        assert history
        told = {
            "the log of requests": shop.stdout.read_text(),
            "the log": shop.stderr.read_text(),
            "the log of PostgreSQL": log_of(tmp_path / "data").read_text(),
            "the metrics": metrics,
            "errors": "".join(answer.body.decode() + str(answer.headers) for answer in session.refused),
            "Sentry": "".join(sentry.received),
            "the admin's history": history,
        }
        for where, said in told.items():
            text = said.replace(str(server.socket_dir), "")  # a name by chance, which may hold the mark
            assert MARK not in text.lower(), (where, around(text, MARK))
            for token in (*session.tokens, session.session_key):
                assert token not in text, (where, around(text, token))
        look_at_rest(cursor, session)


def around(text: str, secret: str) -> str:
    """Return where it stands."""
    begin = text.lower().index(secret.lower())
    return text[max(0, begin - 300) : begin + 100]


def look_at_rest(cursor: Any, session: Session) -> None:
    """No table holds a password or a token as it is."""
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for (table,) in cursor.fetchall():
        cursor.execute(f"SELECT coalesce(string_agg(t::text, ' '), '') FROM \"{table}\" AS t")
        (rows,) = cursor.fetchone()
        assert not any(secret in rows for secret in {PASSWORD, OTHER_PASSWORD, *session.tokens}), table
