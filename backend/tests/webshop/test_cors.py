"""CORS: scripts on pages of listed origins may call the API, and nobody else's; off by default."""

from collections.abc import Iterator

import pytest
from django.test import Client

from shop.urls import urlpatterns
from tests.support.serving import Shop, serving

pytestmark = pytest.mark.slow

ORIGIN, PATH = "https://www.shop.example", "/shop/api/products/"
EXPOSED = (
    "ETag, Link, X-Total-Count, Age, Retry-After, X-Request-ID, Location, Idempotent-Replayed, RateLimit, "
    "RateLimit-Policy, WWW-Authenticate"
)
METHODS = {method for pattern in urlpatterns for method in pattern.callback.endpoints}  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def shop(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with serving(
        tmp_path_factory.mktemp("shop"), DJANGO_CORS_ORIGINS=f"{ORIGIN},http://localhost:5173"
    ) as shop:
        yield shop


def cors(headers: dict[str, str]) -> dict[str, str]:
    return {
        name.lower(): value
        for name, value in headers.items()
        if name.lower().startswith("access-control-") or name.lower() == "vary"
    }


@pytest.mark.parametrize("path", [PATH, f"{PATH}?limit=1", "/shop/api/order/0/", "/shop/api/nope/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("origin", [ORIGIN, "http://localhost:5173"])
def test_a_listed_origin_may_read_any_answer(shop: Shop, origin: str, method: str, path: str) -> None:
    assert cors(shop.get(path, method, Origin=origin).headers) == {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": EXPOSED,
        "vary": "Accept, origin",
    }


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://www.shop.example", "https://www.shop.example:8443", "null", "https://["],
)
def test_another_origin_may_not(shop: Shop, origin: str) -> None:
    answer = shop.get(PATH, Origin=origin)
    assert answer.status == 200
    assert cors(answer.headers) == {"vary": "Accept, origin"}
    assert cors(shop.get(PATH, "OPTIONS", Origin=origin, Access_Control_Request_Method="GET").headers) == {
        "vary": "origin"
    }


def test_a_browser_that_asks_first_is_answered(shop: Shop) -> None:
    """A script may use all methods that urls.py has."""
    answer = shop.get(PATH, "OPTIONS", Origin=ORIGIN, Access_Control_Request_Method="GET")
    assert (answer.status, answer.body) == (200, b"")
    found = cors(answer.headers)
    assert set(found.pop("access-control-allow-methods").split(", ")) == METHODS
    assert found == {
        "access-control-allow-origin": ORIGIN,
        "access-control-allow-headers": "authorization, content-type, idempotency-key, if-none-match",
        "access-control-expose-headers": EXPOSED,
        "access-control-max-age": "86400",
        "vary": "origin",
    }


def test_an_answer_to_a_write_may_be_read(shop: Shop) -> None:
    answer = shop.get("/shop/api/token/", "POST", Origin=ORIGIN)
    assert answer.status == 415
    assert cors(answer.headers)["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-credentials" not in cors(answer.headers)


def test_other_methods_stay_refused(shop: Shop) -> None:
    for method in ("OPTIONS", "POST"):
        answer = shop.get(PATH, method, Origin=ORIGIN)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_nothing_but_the_api_is_open(shop: Shop) -> None:
    for path in ("/admin/login/", "/healthz", "/metrics", "/shop/apinope/"):
        assert "access-control-allow-origin" not in cors(shop.get(path, Origin=ORIGIN).headers)
        preflight = shop.get(path, "OPTIONS", Origin=ORIGIN, Access_Control_Request_Method="GET")
        assert "access-control-allow-origin" not in cors(preflight.headers)


@pytest.mark.django_db
def test_by_default_there_is_none(client: Client) -> None:
    for method in ("GET", "OPTIONS"):
        headers = {"origin": ORIGIN, "access-control-request-method": "GET"}
        response = client.generic(method, PATH, headers=headers)
        assert cors(dict(response.headers)) == {"vary": "Accept"}
    assert response.status_code == 405
