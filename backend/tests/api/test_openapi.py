"""The OpenAPI document: valid, the same in docs/, and the same as docs/API.md."""

import json
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django import forms
from django.core.management import call_command
from django.test import Client
from django.urls import resolve
from openapi_spec_validator import validate

from shop.api.body import parse_object
from shop.api.errors import ApiError
from shop.api.query import QueryParameter
from shop.api.writing import NoBody, WriteEndpoint, clean
from shop.customers.forms import JsonEmail
from shop.urls import EXAMPLES, LINKS, urlpatterns
from tests import ROOT
from tests.api.test_hostile import Known, usual, with_one_odd
from tests.support.openapi import document, validator

FILE = ROOT / "docs" / "openapi.json"
RENEW = "docs/openapi.json is old: DEBUG=1 uv run manage.py openapi > ../docs/openapi.json"


def operations() -> dict[str, dict[str, Any]]:
    """The operations of the document by method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }


def test_it_is_valid() -> None:
    validate(document())
    assert document()["openapi"].startswith("3.1.")


def test_the_file_is_what_is_served(client: Client) -> None:
    answer = client.get("/shop/api/openapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(FILE.read_text()) == answer.json(), RENEW
    printed = StringIO()
    call_command("openapi", stdout=printed)
    assert printed.getvalue() == FILE.read_text(), RENEW


def test_it_asks_no_database(client: Client) -> None:
    """There is none here."""
    answer = client.get("/shop/api/openapi.json")
    again = client.get("/shop/api/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert answer.headers["Cache-Control"] == "public, max-age=5"
    assert client.get("/shop/api/openapi.json?x=1").status_code == 400


def test_every_operation_is_in_it_once() -> None:
    declared = {
        f"{method} /shop/api/{str(pattern.pattern).replace('<int:', '{').replace('>', '}')}"
        for pattern in urlpatterns
        for method in pattern.callback.endpoints  # type: ignore[attr-defined]
        if method != "HEAD"
    }
    assert set(operations()) == declared
    names = [operation["operationId"] for operation in operations().values()]
    assert len(set(names)) == len(names)


def examples(where: Any, *pointer: str) -> Iterator[tuple[tuple[str, ...], str, dict[str, Any]]]:
    """Every Example Object with its key and the place of what it is an example of."""
    if isinstance(where, dict):
        if "schema" in where:
            for name, example in where.get("examples", {}).items():
                yield pointer, name, example
        for key, inner in where.items():
            yield from examples(inner, *pointer, key)
    elif isinstance(where, list):
        for number, inner in enumerate(where):
            yield from examples(inner, *pointer, str(number))


def test_examples_are_as_their_schemas_say() -> None:
    found = list(examples(document()))
    assert len(found) > 200
    for pointer, name, example in found:
        problems = list(validator(*pointer, "schema").iter_errors(example["value"]))
        assert not problems, (pointer, name, problems[0].message)


def test_every_curl_of_api_md_is_an_example() -> None:
    """But one of a path that is not there."""
    documented = {name for _, name, _ in examples(document())}
    curls = json.loads(EXAMPLES.read_text())
    missing = {curl["path"] for curl in curls if curl["name"] not in documented}
    assert missing == {"/shop/api/nope/"}


def test_every_error_has_an_example() -> None:
    everywhere = document()["components"]["responses"]
    for operation in operations().values():
        for status, response in operation["responses"].items():
            if "$ref" in response:
                response = everywhere[response["$ref"].rpartition("/")[2]]
            if int(status) >= 400:
                told = response["content"]["application/json"]["examples"].values()
                assert all(isinstance(example["value"]["error"], str) for example in told)
                problems = response["content"]["application/problem+json"]["examples"].values()
                assert {example["value"]["status"] for example in problems} == {int(status)}


def test_every_answer_has_a_name() -> None:
    """A client that is generated calls its classes so; the index and the document itself are none."""
    for name, operation in operations().items():
        for response in operation["responses"].values():
            schema = response.get("content", {}).get("application/json", {}).get("schema", {})
            schema = schema.get("items", schema)
            if operation["tags"] != ["api"] and schema:
                assert "$ref" in schema or "oneOf" in schema, name


def test_links_are_between_operations() -> None:
    names = {operation["operationId"] for operation in operations().values()}
    assert names >= set(LINKS)
    linked = {
        target
        for operation in operations().values()
        for response in operation["responses"].values()
        for target in response.get("links", {})
    }
    assert linked == {target for targets in LINKS.values() for target in targets}


def test_what_stripe_sends_is_not_the_shops_to_say() -> None:
    told = operations()["POST /shop/api/payment/stripe/webhook/"]
    assert told["requestBody"]["content"] == {"application/json": {"schema": {"type": "object"}}}
    assert list(told["responses"]) == ["200", "400", "404", "411", "413", "500", "503"]
    assert {name for answer in told["responses"].values() for name in answer.get("headers", {})} == set()
    longest = told["responses"]["413"]["content"]["application/json"]["examples"].values()
    assert [example["value"] for example in longest] == [{"error": "The body is longer than 1024 KiB"}]


FORMS = {
    endpoint.form
    for pattern in urlpatterns
    for endpoint in pattern.callback.endpoints.values()  # type: ignore[attr-defined]
    if isinstance(endpoint, WriteEndpoint) and endpoint.form is not NoBody
}
TEXTS = [
    *("", "0", "1", "007", "1000", "1001", "999999999", "1000000000", "9" * 19, "9" * 20, "-1", "1.0", "+1"),
    *("10.00", "10.5", "9" * 17, "9" * 18, "1\n", "１", "2026-11-24", "2026-02-30", "0000-01-01", "20261124"),
    *("a\0b", "a\nb", "x" * 100, "x" * 101, "pending", "-price", "Pending"),
]


def is_read(kind: QueryParameter, text: str) -> bool:
    try:
        kind.read(text)
    except ValueError:
        return False
    return True


def test_a_parameter_takes_what_its_schema_says() -> None:
    for name, operation in operations().items():
        method, path = name.split(" ")
        kinds = getattr(resolve(re.sub("{.+?}", "1", path)).func.endpoints[method], "parameters", {})  # type: ignore[attr-defined]
        for position, parameter in enumerate(operation["parameters"]):
            if parameter["in"] != "query":
                continue
            kind = kinds[parameter["name"]]
            schema = validator("paths", path, method.lower(), "parameters", str(position), "schema")
            for text in TEXTS:
                is_integer = "integer" in str(parameter["schema"]) and re.fullmatch("[0-9]+", text)
                value = int(text) if is_integer else text
                is_valid = schema.is_valid([value] if kind.repeatable else value)
                assert is_read(kind, text) == is_valid, (name, parameter, text)


KNOWN = Known({}, {"email": ["ada@example.com"]}, "", "")
LINES = ["Ada\n", "\x85Ada\u2003", "a\u2028b", "a\x1cb", "a\x7f", "9.99\n", "9.9", "x" * 101, "x" * 129]


def is_taken(form: type[forms.Form], body: dict[str, Any]) -> bool:
    try:
        clean(form, parse_object(json.dumps(body).encode()))
    except ApiError:
        return False
    return True


def bodies(form: type[forms.Form]) -> Iterator[dict[str, Any]]:
    """What a form takes, with one member odd, left out or too many."""
    body = usual(form, KNOWN)
    yield from with_one_odd(form, KNOWN)
    yield from ({**body, name: line} for name in body for line in LINES)
    yield from ({name: value for name, value in body.items() if name != left_out} for left_out in body)
    yield from ({name: body[name]} for name in body)
    yield from ({}, {**body, "unknown": 1})


@pytest.mark.parametrize("form", sorted(FORMS, key=str))
def test_a_form_takes_what_its_schema_says(form: type[forms.Form]) -> None:
    """JSON Schema takes 1.0 for an integer, and knows neither halves of surrogates nor all of addresses."""
    schema = validator("components", "schemas", form.__name__)
    asks_address = isinstance(form.base_fields.get("email"), JsonEmail)
    for body in bodies(form):
        has_float = any(isinstance(value, float) for value in body.values())
        wrong = [problem.message for problem in schema.iter_errors(body)]
        is_address = asks_address and "@" in str(body.get("email")) and not wrong
        if not (
            has_float or is_address or re.search("[\ud800-\udfff]", json.dumps(body, ensure_ascii=False))
        ):
            assert is_taken(form, body) == (not wrong), (body, wrong)
