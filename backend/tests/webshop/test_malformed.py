"""Requests that are none: each is refused as the place that it was sent to refuses, and never a failure."""

import json
import socket
from collections.abc import Callable
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPResponse
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from shop.api.accept import PROBLEM
from tests.support.serving import Answer, serving
from webshop.middleware import server_error
from webshop.wsgi import Request, application

FORM = "application/x-www-form-urlencoded"
API, PAGE = "/shop/api/products/", "/admin/login/"

pytestmark = pytest.mark.django_db


def environ(method: str, path: str, body: bytes, **headers: str) -> dict[str, Any]:
    """What a server gives an application; the headers are by their names in WSGI."""
    address, _, query = path.partition("?")
    given: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": address, "QUERY_STRING": query, **headers}
    given |= {"HTTP_HOST": "localhost", "CONTENT_LENGTH": str(len(body)), "wsgi.input": BytesIO(body)}
    setup_testing_defaults(given)
    return given


def ask(method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    """Ask the application as a server does: the test client would make the request by itself."""
    begun: list[Any] = []

    def start_response(*status_and_headers: Any) -> Callable[[bytes], object]:
        begun.extend(status_and_headers)
        return begun.append

    answer = application(environ(method, path, body, **headers), start_response)
    content = b"".join(answer)
    answer.close()
    status, fields = begun
    return Answer(int(status[:3]), dict(fields), content)


SENSELESS = [
    *(f"a/b; charset={name}" for name in ("hex", "undefined", "rot13", "zlib", "idna\0", "nope", "\xff")),
    "a/b; charset*=utf-8''%00",
    "a/b; charset*=nope''x",
    "a/b; charset*=hex''x",
    "a/b; charset*=x; charset*0=y",
]


def test_a_content_type_without_sense_is_a_bad_request() -> None:
    for kind, method in product(SENSELESS, ("GET", "HEAD")):
        for path in (API, f"{API}?limit=1", "/shop/api/nope/"):
            answer = ask(method, path, CONTENT_TYPE=kind)
            assert (answer.status, answer.headers["Content-Type"]) == (400, "application/json"), (kind, path)
            assert json.loads(answer.body) == {"error": "The Content-Type makes no sense"}, (kind, path)
            assert len(answer.headers["X-Request-ID"]) == 32, (kind, path)
        answer = ask(method, f"{PAGE}?next=/", CONTENT_TYPE=kind)
        assert answer.status == 400, kind
        assert answer.headers["Content-Type"].startswith("text/html"), kind
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"], kind
        assert len(answer.headers["X-Request-ID"]) == 32, kind


@pytest.mark.parametrize(
    "kind", ["", "/", ";", ";;", "a/b; charset=utf-8", "a/b; x*=iso-8859-1''%FC", "\xff"]
)
def test_any_other_content_type_does_no_harm(kind: str) -> None:
    answer = ask("GET", f"{API}?page=1", CONTENT_TYPE=kind)
    assert answer.status == 400
    assert json.loads(answer.body)["error"].startswith("Unknown or bad parameter 'page'")


def test_the_charset_of_a_body_is_not_that_of_the_query() -> None:
    for charset in ("utf-8", "utf-7", "utf-16", "iso-8859-1"):
        answer = ask("GET", f"{API}?%C3%BC+AAA-=1", CONTENT_TYPE=f"a/b; charset={charset}")
        assert answer.status == 400
        if charset != "utf-16":
            assert json.loads(answer.body)["error"].startswith("Unknown or bad parameter 'ü AAA-'")


@pytest.mark.parametrize("query", ["&" * 10_100, "a=1&" * 10_100])
def test_too_many_parameters_are_a_bad_request(query: str) -> None:
    for kind in ("a/b; charset=utf-8", ""):
        answer = ask("GET", f"{API}?{query}", CONTENT_TYPE=kind)
        assert (answer.status, json.loads(answer.body)) == (400, {"error": "Bad Request"})
        assert ask("GET", f"{PAGE}?{query}", CONTENT_TYPE=kind).status == 400


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (f"{FORM}; charset=iso-8859-1", b"csrfmiddlewaretoken=x"),
        (f"{FORM}; charset=hex", b"csrfmiddlewaretoken=x"),
        (FORM, b"a=1&" * 10_100),
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=\xff", b""),
        (
            "multipart/form-data; boundary=B",
            b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 10_100,
        ),
    ],
)
def test_a_form_that_cannot_be_read_is_a_bad_request(kind: str, body: bytes) -> None:
    """Its pages for errors read a form as well: for the CSRF token, which a cookie makes them look for."""
    for cookie in ("csrftoken=" + "a" * 32, 'csrftoken=b; sessionid="\\000"'):
        assert ask("POST", PAGE, body, CONTENT_TYPE=kind, HTTP_COOKIE=cookie).status == 400
        assert ask("POST", "/nope", body, CONTENT_TYPE=kind, HTTP_COOKIE=cookie).status in (400, 404)


def test_the_page_for_a_failure_leaves_an_unreadable_form_alone() -> None:
    request = Request(
        environ("POST", PAGE, b"&" * 10_100, CONTENT_TYPE=FORM, HTTP_COOKIE=f"csrftoken={'a' * 32}")
    )
    assert server_error(request).status_code == 500


@pytest.mark.slow
def test_they_are_counted_and_logged_without_their_text(transactional_db: None, tmp_path: Path) -> None:
    with serving(tmp_path, "--workers=1") as shop:
        for kind in ("a/b; charset=hush", "a/b; hush*=hush''%00", "hush"):
            shop.get(f"{API}?hush=1", Content_Type=kind)
        shop.get(f"/admin/login/?{'hush&' * 1400}")
        shop.post(
            PAGE, b"hush=hush&" * 10_100, Content_Type=FORM, Cookie=f"csrftoken={8 * 'hush'}; sessionid=hush"
        )
        assert [line["status"] for line in shop.requests(5)] == [400, 400, 400, 200, 400]
        metrics = shop.get("/metrics").body.decode()
        assert 'shop_requests_total{method="GET",route="none",status="400"} 2.0' in metrics
        assert [line["logger"] for line in shop.log() if line["logger"] != "gunicorn.error"] == []
        assert "hush" not in shop.stdout.read_text() + shop.stderr.read_text()


# What no proxy would pass on, or what it passes on as it is.
REFUSED = {
    "raw UTF-8 in the path": ("GET /shop/api/products/ü/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
    "a long header": (f"GET {API} HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {'y' * 9000}\r\n\r\n", 431),
    "a long path": (f"GET {API}?{'y' * 9000} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 414),
    "no length": (f"POST {API} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: x\r\n\r\n", 400),
    "two lengths": (
        f"POST {API} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        400,
    ),
    "no encoding": (f"POST {API} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: x\r\n\r\n", 400),
    "a later version": (f"GET {API} HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n", 400),
    "no method": (f"G{{T {API} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
    "an expectation": (f"GET {API} HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: x\r\n\r\n", 417),
    "a path below another": (
        "GET /shop/api/nope/ HTTP/1.1\r\nHost: 127.0.0.1\r\nSCRIPT_NAME: /x\r\n\r\n",
        404,
    ),
    "no HTTP": ("hush\r\n\r\n", 400),
}


@pytest.mark.slow
def test_what_the_server_itself_refuses_is_told_as_the_api_tells_it(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers=1", DATABASE_HOST=str(tmp_path)) as shop:
        for name, (text, status) in REFUSED.items():
            phrase = HTTPStatus(status).phrase
            plain = ("application/json", {"error": phrase})
            problem = {"type": "about:blank", "title": phrase, "status": status, "detail": phrase}
            for accept, expected in (
                ("*/*", plain),
                ("application/problem+json", (PROBLEM, problem)),
                ("application/json, application/problem+json;q=0.5", plain),
            ):
                sent = f"{text.removesuffix('\r\n')}accept: {accept}\r\n\r\n"
                with closing(socket.create_connection(("127.0.0.1", shop.port), timeout=10)) as connected:
                    connected.sendall(sent.encode())
                    response = HTTPResponse(connected)
                    response.begin()
                    body = json.loads(response.read())
                assert response.status == status, name
                assert (response.headers["Content-Type"], body) == expected, (name, accept)
                assert response.headers["Cache-Control"] == "no-store"
                assert response.headers["Vary"] == "Accept"
                assert response.headers["X-Frame-Options"] == "DENY"
