"""The OpenAPI document of the API, made of what urls.py and its endpoints declare."""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from inspect import cleandoc
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.urls import URLPattern

from shop.api.accept import CSV, JSON, PROBLEM
from shop.api.audience import ANONYMOUS, EVERYBODY, Audience, unknown
from shop.api.errors import DATABASE_AWAY, RETRY_AFTER_SECONDS, ApiError
from shop.api.query import parse_query
from shop.api.reading import PUBLIC, ListEndpoint, ReadEndpoint, json_answer
from shop.api.routing import API_ROOT, Route
from shop.api.schemas import (
    STRING,
    Schema,
    array_of,
    form_schema,
    object_of,
    reference,
    refusal_schema,
    row_schema,
    samples,
)
from shop.api.writing import NoBody, WriteEndpoint, refused
from shop.database.statements import Row

type Links = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""By operation those that may come next, each with ids and members of its body as runtime expressions."""

INFO = {
    "title": "Webshop",
    "version": "1.0.0",
    "description": """\
Money is a string with two decimals, a date is `YYYY-MM-DD`, a time is UTC, a list is a bare array. A JSON \
integer is `2`, not `2.0`.

GET takes HEAD as well; any other method than those below is answered 405, and `Allow` names those there \
are. An error is `{"error": "one sentence"}`, or with `Accept: application/problem+json` a problem of \
RFC 9457; it has changed nothing. Besides those below there are 404 for an unknown path, and 414 and 431 for \
a line or headers that are too long.""",
}
SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The access token of a customer or a staff user; it wins over the cookie.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": settings.SESSION_COOKIE_NAME,
        "description": "Staff who are signed in to the admin may read with its cookie.",
    },
}
HEADERS: dict[str, tuple[str, Schema]] = {
    "ETag": ("What If-None-Match takes; a whole list of 1000 rows or more has none.", STRING),
    "Link": ("The pages beside this one; of the index, this document.", STRING),
    "X-Total-Count": ("The number of all rows, with `total=1`.", {"type": "integer", "minimum": 0}),
    "Location": ("The address of what is new.", STRING | {"format": "uri-reference"}),
    "Idempotent-Replayed": (
        "The key was used before: this is the answer of then.",
        STRING | {"const": "true"},
    ),
    "RateLimit": ("How much is left of the limits.", STRING),
    "RateLimit-Policy": ("The limits that this request counts for.", STRING),
    "Retry-After": ("In how many seconds to try again.", {"type": "integer", "minimum": 1}),
    "WWW-Authenticate": ("`Bearer`, with an `error` if a token was sent and is bad.", STRING),
}
LIMITS = ("RateLimit", "RateLimit-Policy")
ERRORS: dict[str, Schema] = {
    "Error": object_of({"error": STRING}),
    "InvalidBody": object_of(
        {"error": STRING, "fields": {"type": "object", "additionalProperties": array_of(STRING)}}, ["error"]
    ),
    "Problem": {
        "type": "object",
        "description": "An error as RFC 9457 has it, with what else stands beside its sentence.",
        "properties": {
            "type": STRING | {"const": "about:blank"},
            "title": STRING,
            "status": {"type": "integer"},
            "detail": STRING,
        },
        "required": ["type", "title", "status", "detail"],
    },
}
ALWAYS = (
    ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.INTERNAL_SERVER_ERROR.phrase),
    ApiError(HTTPStatus.SERVICE_UNAVAILABLE, DATABASE_AWAY, {"Retry-After": str(RETRY_AFTER_SECONDS)}),
)
SHARED = {error.status: error for error in (unknown(ANONYMOUS), *WriteEndpoint.errors, *ALWAYS)}
"""The errors that are the same wherever they are."""


@dataclass
class Example:
    """A request of docs/API.md, and what is answered."""

    name: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any
    status: int
    answer: Any

    def is_of(self, method: str, url: URLPattern) -> bool:
        """Tell whether it calls this method of this path."""
        return method == self.method and bool(url.pattern.match(self.path.removeprefix(API_ROOT)))

    @property
    def media_type(self) -> str:
        """What it asks for and is answered."""
        return self.headers.get("Accept", JSON)

    @property
    def is_valid(self) -> bool:
        """Whether the request is as its schema wants it."""
        return self.status != HTTPStatus.BAD_REQUEST

    def shown(self, value: Any) -> dict[str, Any]:
        """Return the Example Object of the body or the answer."""
        query = f"?{self.query}" if self.query else ""
        found = {"summary": f"{self.method} {self.path}{query}", "value": value}
        if self.body and not self.is_valid:
            found["description"] = f"The body was `{json.dumps(self.body, ensure_ascii=False)}`"
        return found


@dataclass
class Operation:
    """A method of a path; `ids` are the names of those in it."""

    name: str
    method: str
    path: str
    ids: list[str]
    endpoint: Any
    examples: list[Example]

    @property
    def room(self) -> str:
        return str(self.endpoint.__module__).split(".")[1]


class OpenApi:
    """Answers with the document, made when it is first asked for."""

    audience = EVERYBODY
    schema: Schema = {"type": "object"}

    def __init__(self, patterns: Callable[[], Iterable[URLPattern]], links: Links, examples: Path) -> None:
        """Take a function, as this is in one of the patterns, and the file that Examples are in."""
        self.patterns, self.links, self.examples = patterns, links, examples
        self.__doc__ = "This document, as OpenAPI 3.1 has it."

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        parse_query(request.GET, {})
        return json_answer(request, self.text, {"Cache-Control": PUBLIC})

    @cached_property
    def text(self) -> str:
        return json.dumps(self.document(), ensure_ascii=False)

    def document(self) -> dict[str, Any]:
        """Return the document as JSON values."""
        examples = [Example(**example) for example in json.loads(self.examples.read_text())]
        return document_of(list(operations_of(self.patterns(), examples)), self.links)


def operations_of(patterns: Iterable[URLPattern], examples: list[Example]) -> Iterator[Operation]:
    """Yield the operations of these paths; HEAD is none of its own."""
    for url in patterns:
        if not isinstance(url.callback, Route):
            continue
        path = API_ROOT + str(url.pattern).replace("<int:", "{").replace(">", "}")
        for method, endpoint in url.callback.endpoints.items():
            if method != "HEAD":
                name = getattr(endpoint, "__name__", str(url.name))
                own = [example for example in examples if example.is_of(method, url)]
                yield Operation(name, method, path, list(url.pattern.converters), endpoint, own)


def document_of(operations: Collection[Operation], links: Links) -> dict[str, Any]:
    """Return the document of these operations, linked to each other."""
    schemas = dict(ERRORS)
    for operation in operations:
        if isinstance(operation.endpoint, ReadEndpoint):  # the others refer to these rows
            row_schema(operation.endpoint.statement.queryset, operation.endpoint.statement.row, schemas)
    names = {operation.name: operation for operation in operations}
    paths: dict[str, Any] = defaultdict(dict)
    for operation in operations:
        next_ones = {
            name: link_to(names[name], values) for name, values in links.get(operation.name, {}).items()
        }
        paths[operation.path][operation.method.lower()] = described(operation, next_ones, schemas)
    return {
        "openapi": "3.1.0",
        "info": INFO,
        "servers": [{"url": "/"}],
        "tags": [{"name": room} for room in dict.fromkeys(operation.room for operation in operations)],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "responses": {
                component(status): error_response([(error, reference("Error"))], limited=error not in ALWAYS)
                for status, error in SHARED.items()
            },
            "headers": {
                name: {"description": text, "schema": schema} for name, (text, schema) in HEADERS.items()
            },
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def link_to(target: Operation, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Link Object; ids that `values` lacks are those in the path that was called."""
    body = {name: value for name, value in values.items() if name not in target.ids}
    return {
        "operationId": target.name,
        "parameters": {name: values.get(name, f"$request.path.{name}") for name in target.ids},
        **({"requestBody": body} if body else {}),
    }


def described(
    operation: Operation, next_ones: Mapping[str, Any], schemas: dict[str, Schema]
) -> dict[str, Any]:
    """Return the Operation Object."""
    endpoint, audience = operation.endpoint, operation.endpoint.audience
    summary, _, more = cleandoc(endpoint.__doc__).partition("\n\n")
    found: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.room],
        "summary": summary.removesuffix("."),
        "description": f"{more}\n\nFor {who_may(audience)}.".strip(),
        "security": security(operation),
        "parameters": list(parameters(operation)),
    }
    if body := body_schema(endpoint, schemas):
        valid = [example for example in operation.examples if example.is_valid]
        shown = {example.name: example.shown(example.body) for example in valid}
        found["requestBody"] = {"required": True, "content": {JSON: media(body, shown)}}
    responses = dict(answers(operation, next_ones, schemas))
    errors = defaultdict(list)
    for error, schema in errors_of(operation, schemas):
        errors[error.status].append((error, schema))
    for status, group in errors.items():
        examples = [example for example in operation.examples if example.status == status]
        is_shared = group[0][0] is SHARED.get(status) and not examples
        responses[status] = (
            {"$ref": f"#/components/responses/{component(status)}"}
            if is_shared
            else error_response(
                group, examples, limited=is_limited(endpoint) and status < HTTPStatus.INTERNAL_SERVER_ERROR
            )
        )
    return found | {"responses": {str(int(status)): responses[status] for status in sorted(responses)}}


def body_schema(endpoint: Any, schemas: dict[str, Schema]) -> Schema | None:
    """Return what the body of a request is, if there is to be one."""
    if not isinstance(endpoint, WriteEndpoint):
        return None
    return endpoint.body or (None if endpoint.form is NoBody else form_schema(endpoint.form, schemas))


def is_limited(endpoint: Any) -> bool:
    """Tell whether a request counts for a limit."""
    errors = endpoint.errors if isinstance(endpoint, WriteEndpoint) else ()
    return HTTPStatus.TOO_MANY_REQUESTS in (error.status for error in errors)


def who_may(audience: Audience) -> str:
    """Return in words who may call."""
    if audience.is_everybody:
        return "everybody"
    callers = ["the customer"] if audience.owner else []
    if audience.permission:
        callers.append(f"staff with `{audience.permission.partition('.')[2]}`")
    opened = "; for everybody while `SHOP_API_AUTH` is `open`" if audience.opens else ""
    return " and ".join(callers) + opened


def security(operation: Operation) -> list[dict[str, list[str]]]:
    """Return the ways to show who calls."""
    if operation.endpoint.audience.is_everybody:
        return []
    reads = operation.method == "GET" and operation.endpoint.audience.permission
    return [{"bearer": []}, {"session": []}] if reads else [{"bearer": []}]


def parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    """Yield what the path, the query string and the headers of a request may have."""
    valid = [example for example in operation.examples if example.status < HTTPStatus.BAD_REQUEST]
    for name in operation.ids:
        position = operation.path.split("/").index(f"{{{name}}}")
        text = f"The id of the {name.removesuffix('_id')}."
        shown: dict[str, Any] = {one.name: {"value": int(one.path.split("/")[position])} for one in valid}
        found: dict[str, Any] = {"name": name, "in": "path", "required": True, "description": text}
        yield found | media({"type": "integer", "minimum": 0}, shown)
    for name, kind in getattr(operation.endpoint, "parameters", {}).items():
        # Without examples: who tries it in a browser would find all of them filled in at once.
        schema = array_of(kind.schema) | {"minItems": 1} if kind.repeatable else kind.schema
        yield {"name": name, "in": "query", "description": kind.about, "schema": schema}
    for name, pattern in getattr(operation.endpoint, "takes", {}).items():
        shown = {one.name: {"value": one.headers[name]} for one in valid}
        yield {"name": name, "in": "header", "required": True} | media(
            STRING | {"pattern": f"^{pattern.pattern}$"}, shown
        )
    if operation.method == "GET":
        text = "The ETag of an answer: while it would be the same there is a 304 without a body."
        yield {"name": "If-None-Match", "in": "header", "description": text, "schema": STRING}


def answers(
    operation: Operation, next_ones: Mapping[str, Any], schemas: dict[str, Schema]
) -> Iterator[tuple[HTTPStatus, dict[str, Any]]]:
    """Yield the Response Objects of what is answered when all is well."""
    endpoint = operation.endpoint
    found: Mapping[HTTPStatus, Schema | None]
    if isinstance(endpoint, WriteEndpoint):
        headers = [*endpoint.sends, *(LIMITS if is_limited(endpoint) else ())]
        found = {status: answer_schema(kind, schemas) for status, kind in endpoint.answers.items()}
    else:
        schema, headers = read_schema(endpoint, schemas), ["ETag", *getattr(endpoint, "sends", ())]
        if isinstance(endpoint, ListEndpoint):
            schema, headers = array_of(schema), ["ETag", "Link", "X-Total-Count"]
        found = {HTTPStatus.OK: schema}
        yield HTTPStatus.NOT_MODIFIED, {"description": "The answer would be what If-None-Match names."}
    for status, body in found.items():
        shown = [example for example in operation.examples if example.status == status]
        kind = getattr(endpoint, "media_type", JSON)
        content = {kind: media(body, answers_in(kind, shown))} if body else {}
        if isinstance(endpoint, ListEndpoint):
            content[CSV] = media(STRING, answers_in(CSV, shown))
        yield (
            status,
            {
                "description": status.phrase,
                "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
                **({"content": content} if content else {}),
                **({"links": next_ones} if next_ones else {}),
            },
        )


def read_schema(endpoint: Any, schemas: dict[str, Schema]) -> Schema:
    """Return what a row of a read is, or what an endpoint that reads no rows says of its answer."""
    if isinstance(endpoint, ReadEndpoint):
        return row_schema(endpoint.statement.queryset, endpoint.statement.row, schemas)
    schema: Schema = endpoint.schema
    return schema


def answer_schema(kind: Any, schemas: dict[str, Schema]) -> Schema | None:
    """Return what the answer of a write is, from what its `answers` say."""
    if isinstance(kind, Row):
        return reference(kind.name)
    return form_schema(kind, schemas) if kind else None


def errors_of(operation: Operation, schemas: dict[str, Schema]) -> Iterator[tuple[ApiError, Schema]]:
    """Yield an example of each error there may be, and what it is."""
    endpoint, audience, plain = operation.endpoint, operation.endpoint.audience, reference("Error")
    if isinstance(endpoint, WriteEndpoint):
        yield endpoint.invalid(), reference("InvalidBody")
    else:
        yield failure(parse_query, QueryDict("unknown=1"), getattr(endpoint, "parameters", {})), plain
    if not audience.is_everybody:
        yield SHARED[HTTPStatus.UNAUTHORIZED], plain
        yield endpoint.hidden(), plain
    elif operation.ids:
        yield endpoint.missing(), plain
    if audience.missing:
        yield ApiError(HTTPStatus.NOT_FOUND, f"{audience.missing} not found"), plain
    if isinstance(endpoint, WriteEndpoint):
        for refusal in endpoint.refusals:
            schema = refusal_schema(refusal, schemas) if refusal.code else plain
            yield refused(refusal(**samples(refusal.members, schemas))), schema
        for error in endpoint.errors:
            yield error, plain
    for error in ALWAYS:
        yield error, plain


def failure(act: Callable[..., Any], *arguments: Any) -> ApiError:
    """Return the error that this raises."""
    try:
        act(*arguments)
    except ApiError as error:
        return error
    raise AssertionError(act)


def error_response(
    group: list[tuple[ApiError, Schema]], examples: Collection[Example] = (), *, limited: bool
) -> dict[str, Any]:
    """Return the Response Object of the errors of one status; `limited` ones tell what is left of limits."""
    status = group[0][0].status
    told, problems, texts = {}, {}, []
    for number, (error, _) in enumerate(group, 1):
        key = error.members.get("code") or f"{status.phrase.lower().replace(' ', '-')}-{number}"
        told[key] = {"value": {"error": error.message, **error.members}}
        problem: dict[str, Any] = {
            "type": "about:blank",
            "title": status.phrase,
            "status": status,
            "detail": error.message,
        }
        problems[key] = {"value": problem | error.members}
        texts.append(f"`{key}`: {error.message}." if "code" in error.members else f"{error.message}.")
    told |= answers_in(JSON, examples)
    problems |= answers_in(PROBLEM, examples)
    schemas = list({str(schema): schema for _, schema in group}.values())
    codes = {error.members["code"]: schema["$ref"] for error, schema in group if "code" in error.members}
    choice = {"oneOf": schemas, "discriminator": {"propertyName": "code", "mapping": codes}}
    headers = {name for error, _ in group for name in error.headers or {} if name in HEADERS}
    headers |= set(LIMITS) if limited else set()
    return {
        "description": status.phrase if status == HTTPStatus.BAD_REQUEST else "\n".join(dict.fromkeys(texts)),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in sorted(headers)},
        "content": {
            JSON: media(choice if len(schemas) > 1 else schemas[0], told),
            PROBLEM: media(reference("Problem"), problems),
        },
    }


def media(schema: Schema, examples: dict[str, Any]) -> dict[str, Any]:
    """Return the Media Type Object."""
    return {"schema": schema, **({"examples": examples} if examples else {})}


def answers_in(media_type: str, examples: Collection[Example]) -> dict[str, Any]:
    """Return the Example Objects of those answers that are of a type."""
    return {one.name: one.shown(one.answer) for one in examples if one.media_type == media_type}


def component(status: HTTPStatus) -> str:
    """Return the name of a shared response."""
    return status.phrase.replace(" ", "")
