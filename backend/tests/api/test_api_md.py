"""docs/API.md and the OpenAPI document say the same: its tables against what the endpoints declare."""

import re
from typing import Any

from django.test import Client

from shop.api import limits
from shop.api.limits import Limit
from tests.support.api_examples import API_MD
from tests.support.openapi import document

PAGE = API_MD.read_text()
SERVERS = {301, 405, 414, 431}
"""Statuses of what is none of an operation's."""


def table(header: str) -> list[list[str]]:
    """The cells of each row below this header of a table."""
    rows = PAGE.partition(f"| {header} |")[2].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def operations_of(path: str) -> dict[str, Any]:
    """The operations of a path as API.md writes it."""
    template = "/shop/api/" + path.replace("<", "{").replace(">", "}")
    return {method.upper(): operation for method, operation in document()["paths"][template].items()}


def names(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", text))


def schema_of(place: dict[str, Any]) -> dict[str, Any]:
    """What a $ref refers to, or the schema itself."""
    found: dict[str, Any] = document()["components"]["schemas"].get(place.get("$ref", "").rpartition("/")[2])
    return found or place


def who_may(path: str) -> str:
    """What the document says of all methods of a path, as one cell says it."""
    told: dict[str, str] = {
        method: operation["description"].partition("For ")[2].split(";")[0].rstrip(".")
        for method, operation in operations_of(path).items()
    }
    owner, _, staff = told.get("GET", "").partition(" and ")
    if len(told) > 1 and staff:
        assert {text for method, text in told.items() if method != "GET"} == {owner}
        text = f"{owner}; GET: {staff}"
    else:
        (found,) = set(told.values())
        text = found.replace(" and ", ", ")
    return text if "customer" in path else text.replace("the customer", "the customer whose it is")


def test_who_may_call_what() -> None:
    rows = table("path | methods | who may call it")
    for cell, methods, who in rows:
        (path,) = re.findall(r"`(.+?)`", cell)
        assert set(re.findall("[A-Z]+", methods)) == set(operations_of(path)), path
        assert who == who_may(path), path
    assert len(rows) == len(document()["paths"]) - 1  # the index


NOUNS = {
    "the customer": "Customer",
    "the tokens": "TokensForm",
    "the next tokens": "TokensForm",
    "the line": "CartLine",
    "the order": "Order",
    "the payment": "Payment",
    "`{}`": "NoBody",
}


def test_members_and_answers_of_writes() -> None:
    rows = table("write | members of the body (those in brackets may be left out) | answer")
    told = set()
    for write, members, answer in rows:
        method = write.split(" ")[0]
        for path in re.findall("`(.+?)`", write):
            operation = operations_of(path)[method]
            told.add(operation["operationId"])
            assert_members(members, operation)
            statuses = {status for status in operation["responses"] if status.startswith("2")}
            assert set(re.findall(r"\b2\d\d\b", answer)) == statuses, write
            for status in statuses:
                content = operation["responses"][status].get("content", {"application/json": {"schema": {}}})
                name = content["application/json"]["schema"].get("$ref", "").rpartition("/")[2]
                noun = answer.rpartition(", ")[2]
                assert name == NOUNS.get(noun, ""), write
    writes = {
        operation["operationId"]
        for methods in document()["paths"].values()
        for method, operation in methods.items()
        if method != "get"
    }
    assert told == writes


def assert_members(told: str, operation: dict[str, Any]) -> None:
    body, _, headers = told.partition("; the header ")
    assert names(headers.replace("-", "_")) == {
        parameter["name"].replace("-", "_")
        for parameter in operation["parameters"]
        if parameter["in"] == "header"
    }
    schema = {}
    if "requestBody" in operation:
        schema = schema_of(operation["requestBody"]["content"]["application/json"]["schema"])
    properties = schema.get("properties", {})
    inner = re.search(r"`(\w+)`: (.*)\]", body)
    if inner:
        nested = schema_of(properties[inner[1]])
        assert names(inner[2]) == set(nested["properties"]) == set(nested["required"])
        body = body.replace(inner[2], "")
    optional = "".join(re.findall(r"\[.*\]", body) + re.findall(r"`\w+` or `\w+`", body))
    assert names(body) == set(properties), operation["operationId"]
    assert names(body) - names(optional) == set(schema.get("required", [])), operation["operationId"]
    for name, length in re.findall(r"`(\w+)` \((?:[^()]*, )?(\d+)\)", body):
        assert properties[name]["maxLength"] == int(length), (operation["operationId"], name)


def test_the_statuses_of_errors() -> None:
    told = {int(status) for cells in table("status | when") for status in re.findall(r"\d+", cells[0])}
    declared = {
        int(status)
        for methods in document()["paths"].values()
        for operation in methods.values()
        for status in operation["responses"]
    }
    assert told == {status for status in declared if status >= 400} | SERVERS


def test_refusals() -> None:
    declared: dict[tuple[str, str], set[str]] = {}
    for methods in document()["paths"].values():
        for operation in methods.values():
            for status in {"409", "422"} & set(operation["responses"]):
                schema = operation["responses"][status]["content"]["application/json"]["schema"]
                for one in schema.get("oneOf", [schema]):
                    properties = dict(schema_of(one)["properties"])
                    code = properties.pop("code")["const"]
                    found = declared.setdefault((status, code), set())
                    found |= {*properties} - {"error"}
                    for member in properties.values():
                        found |= set(member.get("items", {}).get("properties", {}))
    rows = table("status | `code` | when | beside it")
    assert {(row[0], row[1].strip("`")): names(row[3]) for row in rows} == declared


def test_limits() -> None:
    declared = {
        limit.name: (limit.quota, limit.seconds)
        for limit in vars(limits).values()
        if isinstance(limit, Limit)
    }
    told = {}
    for name, _, limit, _ in table("name | what counts | limit | whose"):
        unit = {"a minute": 60, "an hour": 3600, "in 15 minutes": 900}
        (seconds,) = [seconds for text, seconds in unit.items() if limit.endswith(text)]
        quotas = [int(number) for number in re.findall(r"\d+", limit.partition(" in ")[0])]
        counted = re.findall("`(.+?)`", name)
        for position, one in enumerate(counted):
            told[one] = (quotas[position % len(quotas)], seconds)
    assert told == declared


def test_parameters_are_named() -> None:
    for methods in document()["paths"].values():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                if parameter["in"] == "query":
                    assert re.search(rf"`{parameter['name']}\b", PAGE), parameter["name"]


def test_the_index_lists_the_operations(client: Client) -> None:
    answer = client.get("/shop/api/")
    assert '</shop/api/openapi.json>; rel="service-desc"' in answer.headers["Link"]
    listed = {
        (method, row["path"].replace("<", "{").replace(">", "}")): text.removesuffix(".")
        for row in answer.json()
        for method, text in row["operations"].items()
    }
    assert listed == {
        (method.upper(), path): operation["summary"]
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }
