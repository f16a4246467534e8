"""The production stack as its users, its operators and an attacker meet it."""

import json
import re
import secrets
import socket
import ssl
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.remote.webelement import WebElement

from tests.support.api_examples import examples, fold, parse

from .stack import Compose, inspect, run, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow]

STAFF_ONLY = ("customer/1/orders/", "order/1/", "customer/1/cart/", "bestsellers/", "customer-stats/")


def test_the_examples_of_api_md_are_answered(shop: Compose) -> None:
    for path, printed in examples():
        answer = shop.get(path)
        assert fold(json.loads(answer.body), printed) == parse(printed), path


def test_customers_are_shown_to_staff_alone(shop: Compose) -> None:
    for path in STAFF_ONLY:
        assert shop.get(f"/shop/api/{path}", headers={"Cookie": ""}).status == 401
        assert shop.get(f"/shop/api/{path}", headers={"Cookie": "sessionid=forged"}).status == 401


def test_nginx_alone_is_published(shop: Compose) -> None:
    for service in ("web", "db", "db-replica", "cache", "backup"):
        for container in shop.containers(service):
            published = json.loads(inspect(container, "{{json .NetworkSettings.Ports}}"))
            assert not any(published.values()), service


@pytest.mark.parametrize(
    "path", ["/metrics", "/healthz", "/readyz", "/", "/nope", "/shop/", "/shop/api/../../metrics"]
)
def test_what_is_not_the_shops_is_not_found(shop: Compose, path: str) -> None:
    answer = shop.get(path)
    if path == "/":
        assert (answer.status, answer.headers["Location"]) == (302, "/admin/")
    else:
        assert (answer.status, answer.body) == (404, b'{"error": "Not Found"}')


def test_no_process_is_root_or_can_become_it(shop: Compose) -> None:
    for service in ("nginx", "web", "db", "db-replica", "cache", "backup"):
        (container, *_) = shop.containers(service)
        processes = run("docker", "top", container, "-eo", "pid,uid").stdout.splitlines()[1:]
        users = {process.split()[1] for process in processes}
        assert users
        assert "0" not in users, service
        status = Path(f"/proc/{inspect(container, '{{.State.Pid}}')}/status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert "CapEff:\t0000000000000000" in status
        assert "CapBnd:\t0000000000000000" in status


def test_the_root_file_system_is_read_only(shop: Compose) -> None:
    for service in ("nginx", "web", "cache", "backup"):
        assert inspect(shop.containers(service)[0], "{{.HostConfig.ReadonlyRootfs}}") == "true", service


def test_memory_and_cpu_are_limited(shop: Compose) -> None:
    for service in ("nginx", "web", "db", "db-replica", "cache", "backup"):
        limits = inspect(
            shop.containers(service)[0], "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}"
        ).split()
        assert all(int(limit) > 0 for limit in limits), service


def test_the_number_of_replicas_stays(shop: Compose) -> None:
    for _ in range(2):
        shop.compose("up", "-d", "--no-deps", "web", changes={"SHOP_REPLICAS": "4"})
        assert len(shop.containers("web")) == 4
    shop.compose("up", "-d", "--no-deps", "web")
    assert len(shop.containers("web")) == 3


def test_the_image_is_small(shop: Compose) -> None:
    sizes = [int(inspect(image, "{{.Size}}")) for image in ("webshop", "python:3.13-slim")]
    assert sizes[0] - sizes[1] < 250_000_000


def test_a_request_id_is_made_or_passed_on(shop: Compose) -> None:
    path = "/shop/api/products/?limit=1"
    assert re.fullmatch("[0-9a-f]{32}", shop.get(path).headers["X-Request-ID"])
    mine = f"mine-{secrets.token_hex(8)}"
    assert shop.get(path, headers={"X-Request-ID": mine}).headers["X-Request-ID"] == mine
    assert shop.get(path, headers={"X-Request-ID": "a b"}).headers["X-Request-ID"] != "a b"
    lines = [json.loads(line) for line in shop.logs("web", "nginx").splitlines() if mine in line]
    assert len(lines) == 2
    assert {line["request_id"] for line in lines} == {mine}
    (line,) = (line for line in lines if "route" in line)
    assert (line["route"], line["status"], line["queries"]) == ("shop/api/products/", 200, 1)


def test_what_a_caller_forwards_is_not_believed(shop: Compose) -> None:
    """Neither a host, nor a scheme, nor an address."""
    forged = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "Forwarded": "for=203.0.113.9",
    }
    answer = shop.get("/admin", headers={**forged, "Host": "evil.example"})
    assert (answer.status, answer.headers["Location"]) == (301, "/admin/")
    assert shop.get("/admin/", headers={"Host": "evil.example"}).status == 400
    assert shop.get("/shop/api/products/", headers={"Host": "evil.example"}).status == 400
    assert "203.0.113.9" not in shop.logs("nginx", "web")


def test_a_large_answer_is_compressed(shop: Compose) -> None:
    answer = shop.get("/shop/api/products/", headers={"Accept-Encoding": "gzip"})
    assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == ("gzip", "Accept-Encoding")
    again = {"Accept-Encoding": "gzip", "If-None-Match": answer.headers["ETag"]}
    assert shop.get("/shop/api/products/", headers=again).status == 304


def test_who_asks_too_often_waits(shop: Compose) -> None:
    shop.up("nginx", SHOP_RATE_LIMIT="1")
    answers = [shop.get("/shop/api/products/?limit=1") for _ in range(10)]
    shop.up("nginx")
    statuses = [answer.status for answer in answers]
    assert set(statuses) == {200, 429}
    refused = answers[statuses.index(429)]
    assert refused.body == b'{"error": "Too Many Requests"}'
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["Content-Type"] == "application/json"


BAD_REQUESTS = {
    b"GET /shop/api/products/ HTTP/1.1\r\n\r\n": b"400",
    b"GET /shop/api/products/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n": b"413",
    b"POST /shop/api/products/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n": b"413",
    b"POST /shop/api/products/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: x\r\n\r\n": b"400",
    b"GET /shop/api/products/ HTTP/2.0\r\nHost: localhost\r\n\r\n": b"400",
    "GET /shop/api/ü/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode(): b"400",
    b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n": b"414",
    b"GET /shop/api/products/ HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 9000 + b"\r\n\r\n": b"431",
    b"nonsense\r\n\r\n": b"400",
}


@pytest.mark.parametrize("accept", [b"*/*", b"application/json, application/problem+json"])
@pytest.mark.parametrize(("sent", "status"), BAD_REQUESTS.items(), ids=range(len(BAD_REQUESTS)))
def test_a_malformed_request_is_told_so(shop: Compose, sent: bytes, status: bytes, accept: bytes) -> None:
    """As a problem if it likes that, and came so far as to say it."""
    with closing(socket.create_connection(("127.0.0.1", shop.port), timeout=20)) as connection:
        connection.sendall(sent.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\r\nAccept: %s\r\n" % accept))
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] == status
    told = json.loads(body)
    if accept == b"*/*" or status == b"414" or b"HTTP/1.1\r\n" not in sent:
        assert b"Content-Type: application/json\r\n" in head
        assert list(told) == ["error"]
    else:
        assert b"Content-Type: application/problem+json\r\n" in head
        assert list(told) == ["type", "title", "status", "detail"]
        assert told["status"] == int(status)


@pytest.mark.parametrize(
    ("accept", "is_problem"),
    [
        ("Application/Problem+JSON", True),
        ("text/csv, application/problem+json;q=1.0", True),
        ("application/problem+json; profile=x, */*;q=0.1", True),
        ("application/json, application/problem+json;q=0.5", False),
        ("application/problem+json; profile=x; q=0", False),
        ("application/problem+jsonx", False),
        ("text/html, */*", False),
    ],
)
def test_problems_of_nginx_are_for_who_names_them(shop: Compose, accept: str, *, is_problem: bool) -> None:
    answer = shop.get("/nope", headers={"Accept": accept})
    plain = ("application/json", {"error": "Not Found"})
    problem = {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "Not Found"}
    expected = ("application/problem+json", problem) if is_problem else plain
    assert (answer.headers["Content-Type"], json.loads(answer.body)) == expected
    assert answer.headers["Vary"] == "Accept"


def test_a_body_of_64_kib_reaches_the_shop(shop: Compose) -> None:
    body = b" " * 65536
    head = b"POST /shop/api/products/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65536\r\n\r\n"
    with closing(socket.create_connection(("127.0.0.1", shop.port), timeout=20)) as connection:
        connection.sendall(head + body)
        assert connection.recv(12) == b"HTTP/1.1 405"


def test_the_operations_endpoints_are_inside(shop: Compose) -> None:
    code = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000{}').read().decode())"
    assert json.loads(shop.execute("web", "python", "-c", code.format("/healthz"))) == {"status": "ok"}
    assert json.loads(shop.execute("web", "python", "-c", code.format("/readyz"))) == {"status": "ok"}
    metrics = shop.execute("web", "python", "-c", code.format("/metrics"))
    assert 'shop_orders{status="pending"}' in metrics
    assert 'shop_requests_total{method="GET",route="shop/api/products/",status="200"}' in metrics


def test_the_endpoints_read_from_the_standby(shop: Compose) -> None:
    shop.psql("SELECT pg_wal_replay_pause()", "db-replica")
    try:
        shop.psql("UPDATE product SET stock = 59 WHERE product_id = 1")
        assert json.loads(shop.get("/shop/api/products/").body)[0]["stock"] == 58
    finally:
        shop.psql("SELECT pg_wal_replay_resume()", "db-replica")
    wait_until("the change", lambda: json.loads(shop.get("/shop/api/products/").body)[0]["stock"] == 59)
    shop.psql("UPDATE product SET stock = 58 WHERE product_id = 1")
    wait_until("the change", lambda: json.loads(shop.get("/shop/api/products/").body)[0]["stock"] == 58)


def test_the_admin_is_styled_and_works(
    shop: Compose, browser: Chrome, find: Callable[[str], WebElement], save: Callable[[], str]
) -> None:
    browser.get(f"http://localhost:{shop.port}/admin/login/")
    (name, value) = shop.headers["Cookie"].split("=")
    browser.add_cookie({"name": name, "value": value})
    browser.get(f"http://localhost:{shop.port}/admin/shop/order/1/change/")
    header = find("#header")
    assert header.text.startswith("Webshop")
    assert header.value_of_css_property("background-color") == "rgba(23, 50, 63, 1)"
    find("#items-group .add-row a").click()
    assert find("#items-2 .select2-selection").is_displayed()
    assert save().endswith("was changed successfully.")


@pytest.fixture
def certificate(tmp_path: Path) -> dict[str, str]:
    """A certificate of our own for localhost, as the variables that name it."""
    files = {"TLS_CERTIFICATE": f"{tmp_path}/certificate.pem", "TLS_KEY": f"{tmp_path}/key.pem"}
    options = ("-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost")
    names = ("-addext", "subjectAltName=DNS:localhost")
    paths = ("-keyout", files["TLS_KEY"], "-out", files["TLS_CERTIFICATE"])
    run("openssl", "req", "-x509", *options, *names, *paths)
    Path(files["TLS_KEY"]).chmod(0o644)
    return files


def test_tls_by_a_certificate(shop: Compose, certificate: dict[str, str]) -> None:
    shop.up("nginx", **certificate)
    port = shop.environment["SHOP_HTTPS_PORT"]
    context = ssl.create_default_context(cafile=certificate["TLS_CERTIFICATE"])
    with urllib.request.urlopen(f"https://localhost:{port}/shop/api/low-stock/", context=context) as answer:
        assert answer.status == 200
    shop.up("nginx")


def test_a_missing_secret_is_one_line(shop: Compose) -> None:
    environment = shop.environment.copy()
    del environment["DATABASE_PASSWORD"]
    result = run("docker", "compose", "up", "-d", check=False, env=environment)
    assert result.returncode != 0
    assert "DATABASE_PASSWORD" in result.stderr
    assert "is missing, see docs/DEPLOYMENT.md" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_unreadable_secret_file_is_one_line(shop: Compose, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("very secret\n")
    secret.chmod(0o600)
    options = ("--rm", "-T", "--no-deps", "--volume", f"{secret}:/run/secrets/key:ro")
    file = ("-e", "DJANGO_SECRET_KEY=", "-e", "DJANGO_SECRET_KEY_FILE=/run/secrets/key")
    result = shop.compose("run", *options, *file, "migrate", check=False)
    assert result.returncode == 1
    assert "DJANGO_SECRET_KEY_FILE" in result.stderr.splitlines()[-1]
    assert "very secret" not in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_replica_host_is_one_line(shop: Compose) -> None:
    check = ("--entrypoint", "python", "-e", "DATABASE_REPLICA_HOST=nowhere", "migrate", "manage.py", "check")
    result = shop.compose("run", "--rm", "-T", "--no-deps", *check, "--database", "replica", check=False)
    assert result.returncode == 1
    assert "nowhere" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_empty_password_makes_no_database(shop: Compose) -> None:
    options = ("--rm", "-T", "--no-deps", "--volume", f"{shop.project}_probe:/var/lib/postgresql")
    try:
        for _ in range(2):
            result = shop.compose("run", *options, "-e", "DATABASE_PASSWORD=", "db", check=False)
            assert result.returncode != 0
            said = "DATABASE_PASSWORD_FILE: or DATABASE_PASSWORD is missing"
            assert said in result.stderr + result.stdout
    finally:
        run("docker", "volume", "rm", f"{shop.project}_probe")


def test_no_secret_is_in_the_logs_or_the_image(shop: Compose) -> None:
    hidden = [shop.environment[name] for name in ("DJANGO_SECRET_KEY", "DATABASE_PASSWORD")]
    hidden.append(shop.headers["Cookie"].split("=")[1])
    services = ("nginx", "web", "jobs", "db", "db-replica", "cache", "backup")
    said = shop.logs(*services)
    image = run("docker", "history", "--no-trunc", "webshop").stdout
    for secret in hidden:
        assert secret not in said + image
