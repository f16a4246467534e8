"""The headers that tell browsers what they may do with an answer, and whose forms are taken."""

from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from tests.support.serving import Answer, serving

# In the order of the alphabet: the server's own is another one in each process.
POLICY = (
    "base-uri 'none'; default-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "img-src 'self' data:; object-src 'none'"
)
EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
PAGES = {**EVERYWHERE, "X-Frame-Options": "DENY", "Content-Security-Policy": POLICY}
API = {
    **EVERYWHERE,
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
DOCS_POLICY = (
    "base-uri 'none'; connect-src 'self'; default-src 'none'; form-action 'none'; frame-ancestors 'none'; "
    "img-src 'self' data:; script-src 'self'; style-src 'self'"
)
DOCS = {**API, "Content-Security-Policy": DOCS_POLICY}
HTTPS = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}

EXPECTED = {
    "/admin/login/": (200, PAGES),
    "/admin/": (302, PAGES),
    "/nope": (404, PAGES),
    "/shop/api/products/": (200, API),
    "/shop/api/products/?limit=1": (200, API),
    "/shop/api/products/?x=1": (400, API),
    "/shop/api/docs/": (200, DOCS),
    "/shop/api/docs/?x=1": (400, API),
    "/shop/api/order/0/": (404, API),
    "/shop/api/nope/": (404, API),
    "/shop/api/products": (301, API),
    "/static/admin/css/base.css": (200, {**EVERYWHERE, "Content-Security-Policy": POLICY}),
}


def security(answer: Answer) -> dict[str, str]:
    known = {*PAGES, *HTTPS, "Content-Security-Policy-Report-Only", "Permissions-Policy"}
    found = {name: value for name, value in answer.headers.items() if name in known}
    if policy := found.get("Content-Security-Policy"):
        found["Content-Security-Policy"] = "; ".join(sorted(policy.split("; ")))
    return found


@pytest.mark.parametrize("https", [False, True], ids=["http", "https"])
@pytest.mark.slow
def test_the_headers_of_every_kind_of_answer(transactional_db: None, tmp_path: Path, *, https: bool) -> None:
    with serving(tmp_path, DJANGO_HTTPS=str(int(https))) as shop:
        for path, (status, headers) in EXPECTED.items():
            answer = shop.get(path, X_Forwarded_Proto="https" if https else "http")
            assert (answer.status, security(answer)) == (status, headers | (HTTPS if https else {})), path
        headers = API | (HTTPS if https else {})
        method = shop.post("/shop/api/products/", b"", X_Forwarded_Proto="https" if https else "http")
        assert (method.status, security(method)) == (405, headers)
        for path in ("/admin/login/", "/shop/api/products/") if https else ():
            plain = shop.get(path, X_Forwarded_Proto="http")
            moved = f"https://127.0.0.1:{shop.port}{path}"
            assert (plain.status, plain.headers["Location"]) == (301, moved)


@pytest.mark.django_db
def test_who_has_to_sign_in_is_told_so_with_the_same_headers(client: Client, settings: Settings) -> None:
    settings.SHOP_API_AUTH = "required"
    response = client.get("/shop/api/bestsellers/")
    assert response.status_code == 401
    assert response.headers.items() >= API.items()


@pytest.mark.parametrize(
    ("origin", "status"), [("https://office.example", 200), ("https://evil.example", 403)]
)
@pytest.mark.django_db
def test_forms_come_from_trusted_origins(settings: Settings, origin: str, status: int) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://office.example"]
    client = Client(enforce_csrf_checks=True)
    form = client.get("/admin/login/").context["csrf_token"]
    data = {"csrfmiddlewaretoken": str(form), "username": "nobody", "password": "wrong"}
    assert client.post("/admin/login/", data, headers={"origin": origin}).status_code == status


@pytest.mark.django_db
def test_a_form_without_its_token_is_answered_in_words(settings: Settings) -> None:
    """Without a style, which the policy would stop; in development Django's own page says why."""
    client = Client(enforce_csrf_checks=True)
    response = client.post("/admin/login/", {"username": "nobody", "password": "wrong"})
    assert (response.status_code, response.content) == (
        403,
        b"<!doctype html><title>Webshop</title><p>This form is too old, or cookies are off. "
        b"Go back, load the page again and send it once more.",
    )
    assert "default-src 'self'" in response["Content-Security-Policy"]
    settings.DEBUG = True
    assert b"CSRF cookie not set" in client.post("/admin/login/", {}).content
