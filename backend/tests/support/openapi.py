"""Answers of the shop against its own OpenAPI document."""

import json
import re
from functools import cache
from typing import Any

from django.http import HttpResponseBase
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


def assert_documented(method: str, path: str, answer: HttpResponseBase) -> None:
    """Its status, type, headers and body are as the document says; what is no operation passes."""
    template = template_of(path.partition("?")[0])
    name = method.replace("HEAD", "GET").lower()
    if not template or name not in document()["paths"][template] or answer.status_code in ANYWHERE:
        return
    where = ["paths", template, name, "responses", str(answer.status_code)]
    responses = document()["paths"][template][name]["responses"]
    assert str(answer.status_code) in responses, f"{method} {path} answered {answer.status_code}"
    response = responses[str(answer.status_code)]
    if "$ref" in response:
        where = response["$ref"].removeprefix("#/").split("/")
        response = document()[where[0]][where[1]][where[2]]
    for header in document()["components"]["headers"]:
        if header in answer.headers:
            assert header in response["headers"], f"{method} {path}: {header}"
    if answer.streaming or method == "HEAD" or "content" not in response:
        return
    kind = answer.headers["Content-Type"].partition(";")[0]
    assert kind in response["content"], f"{method} {path} answered {kind}"
    if kind.endswith("json"):
        told = json.loads(answer.content)  # type: ignore[attr-defined]
        problems = list(validator(*where, "content", kind, "schema").iter_errors(told))
        assert not problems, f"{method} {path}: {problems[0]}"
