"""Answers of the shop against its own OpenAPI document."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.urls import resolve
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

BASE = "urn:openapi"
ANYWHERE = {301, 405}
"""What is answered to requests that are none of an operation."""


@cache
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(resolve("/shop/api/openapi.json").func.endpoints["GET"].text)  # type: ignore[attr-defined]
    return found


@cache
def validator(*pointer: str) -> Draft202012Validator:
    """What tells whether a value is as the schema at this place in the document says."""
    # The end of a text in ECMA's regular expressions is what Python calls \Z.
    contents = json.loads(re.sub(r'("pattern": "[^"]*)\$"', r'\1\\\\Z"', json.dumps(document())))
    steps = "/".join(step.replace("~", "~0").replace("/", "~1") for step in pointer)
    return Draft202012Validator(
        {"$ref": f"{BASE}#/{steps}"},
        registry=Registry().with_resource(BASE, DRAFT202012.create_resource(contents)),
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


@cache
def template_of(path: str) -> str | None:
    """The path as the document has it."""
    for template in document()["paths"]:
        if re.fullmatch(re.sub("{.+?}", "[0-9]+", template), path):
            return str(template)
    return None


def assert_documented(method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """An answer is of the status, the type, the headers and the schema that the document says.

    What is no operation, such as another method, passes.
    """
    template = template_of(path.partition("?")[0])
    operation = document()["paths"].get(template, {}).get(method.replace("HEAD", "GET").lower())
    if not operation or status in ANYWHERE:
        return
    where = ["paths", str(template), method.replace("HEAD", "GET").lower(), "responses", str(status)]
    assert str(status) in operation["responses"], f"{method} {path} answered {status}"
    response = operation["responses"][str(status)]
    if "$ref" in response:
        where = response["$ref"].removeprefix("#/").split("/")
        response = document()[where[0]][where[1]][where[2]]
    sent = {name.lower() for name in headers}
    surplus = {name for name in document()["components"]["headers"] if name.lower() in sent}
    assert surplus <= set(response.get("headers", {})) | {"ETag"}, f"{method} {path} answered {surplus}"
    if "content" in response and method != "HEAD":
        kind = headers["Content-Type"].partition(";")[0]
        assert kind in response["content"], f"{method} {path} answered {kind}"
        if kind.endswith("json"):
            schema = validator(*where, "content", kind, "schema")
            for problem in schema.iter_errors(json.loads(body)):
                raise AssertionError(f"{method} {path}: {problem}")
    else:
        assert not body, f"{method} {path} answered a body"


def assert_answer(method: str, path: str, answer: Any) -> None:
    """The same of what Django's test client returns."""
    body = b"".join(answer) if answer.streaming else answer.content
    if answer.streaming:
        answer.streaming_content = [body]  # the test reads it as well
    assert_documented(method, path, answer.status_code, answer.headers, body)
