"""The body of a request: one JSON object in UTF-8, read strictly."""

import json
import re
from http import HTTPStatus
from typing import Any, Never

from django.http import HttpRequest
from django.http.request import UnreadablePostError

from shop.api.errors import ApiError

MAX_BYTES = 64 * 1024
"""A longer body is refused."""

MAX_DISCARDED_BYTES = 1024 * 1024
"""How much of a body that is too long is read and thrown away: a client that still sends reads no answer."""

UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""What PostgreSQL's text cannot hold: the null byte, and half a surrogate pair."""


def parse_body(request: HttpRequest) -> dict[str, Any]:
    """Return the object in the body; without a body an empty one.

    Raises ApiError: 415 for another type than JSON, 411 for a body of unknown length, 413 for one that is too
    long, 400 for one that is no JSON object, has a member twice, or text that cannot be stored.
    """
    if "HTTP_TRANSFER_ENCODING" in request.META:
        raise ApiError(HTTPStatus.LENGTH_REQUIRED, "Send the body with a Content-Length")
    try:
        content = request.read(MAX_BYTES + 1)
        if not content:
            return {}
        if request.content_type != "application/json":
            raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json")
        if len(content) > MAX_BYTES:
            request.read(MAX_DISCARDED_BYTES)
            raise ApiError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is longer than {MAX_BYTES // 1024} KiB"
            )
    except UnreadablePostError:
        raise bad("The body broke off") from None
    return parse_object(content)


def parse_object(content: bytes) -> dict[str, Any]:
    """Return the JSON object that these bytes are; raise ApiError (400) if they are none."""
    try:
        parsed = json.loads(content.decode(), object_pairs_hook=members, parse_constant=refuse_constant)
    except UnicodeDecodeError:
        raise bad("The body is not UTF-8") from None
    except (ValueError, RecursionError):
        raise bad("The body is not JSON") from None
    if not isinstance(parsed, dict):
        raise bad("The body is not a JSON object")
    refuse_unstorable(parsed)
    return parsed


def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of these members; raise ApiError (400) if one is there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise bad("The body has a member twice")
    return found


def refuse_constant(name: str) -> Never:
    """Refuse NaN and the like, which Python reads, though they are no JSON."""
    raise ValueError(name)


def refuse_unstorable(value: Any) -> None:
    """Raise ApiError (400) if there is text in it that cannot be stored."""
    match value:
        case str() if UNSTORABLE.search(value):
            raise bad("The body has a null byte or half a surrogate pair in a text")
        case dict():
            for name, member in value.items():
                refuse_unstorable(name)
                refuse_unstorable(member)
        case list():
            for item in value:
                refuse_unstorable(item)


def bad(message: str) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, message)
