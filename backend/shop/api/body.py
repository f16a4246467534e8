"""The body of a request: one JSON object in UTF-8, read strictly."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from math import isfinite
from textwrap import shorten
from typing import Any

from django.http import HttpRequest
from django.http.request import UnreadablePostError

from shop.api.errors import ApiError

MAX_BYTES = 64 * 1024
"""A longer body of JSON is refused."""

MAX_DISCARDED_BYTES = 1024 * 1024
"""How much of a body that is too long is read and thrown away: a client that still sends reads no answer."""

NO_LENGTH = "Send the body with a Content-Length"
NO_JSON = "Send the body as application/json"
BROKEN_OFF = "The body broke off"

UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""What PostgreSQL's text cannot hold: the null byte, and half a surrogate pair."""


def parse_body(request: HttpRequest, *, is_wanted: bool) -> dict[str, Any]:
    """Return the object in the body. Where none is wanted, there may be none, and it needs no type.

    Raises ApiError: 415 for another type than JSON, 411 for a body of unknown length, 413 for one that is too
    long, 400 for one that is no JSON object, has a member twice, or holds what cannot be stored.
    """
    content = read_body(request, MAX_BYTES)
    if not (content or is_wanted):
        return {}
    if request.content_type != "application/json" and (is_wanted or request.content_type):
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, NO_JSON)
    refuse_longer(request, content, MAX_BYTES)
    return parse_object(content)


def read_body(request: HttpRequest, most: int) -> bytes:
    """Return the bytes of a body, one more than `most` if there are more.

    Raises ApiError: 411 for a body of unknown length, 400 for one that breaks off.
    """
    if "HTTP_TRANSFER_ENCODING" in request.META:
        raise ApiError(HTTPStatus.LENGTH_REQUIRED, NO_LENGTH)
    try:
        content: bytes = request.read(most + 1)
        if len(content) < min(content_length(request), most + 1):
            raise UnreadablePostError
    except UnreadablePostError:
        raise not_valid({}, BROKEN_OFF) from None
    return content


def refuse_longer(request: HttpRequest, content: bytes, most: int) -> None:
    """Raise ApiError (413) if this is more of a body than it may have."""
    if len(content) > most:
        try:
            request.read(MAX_DISCARDED_BYTES)
        except UnreadablePostError:
            raise not_valid({}, BROKEN_OFF) from None
        raise too_long(most)


def too_long(most: int) -> ApiError:
    message = f"The body is longer than {most // 1024} KiB"
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)


def content_length(request: HttpRequest) -> int:
    """Return how long the body was said to be; servers end one that breaks off as if it were whole."""
    value = request.META.get("CONTENT_LENGTH") or ""
    return int(value) if value.isascii() and value.isdecimal() else 0


class Members(dict[str, Any]):
    """A JSON object, and the names that it has twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        times = Counter(name for name, _ in pairs) if len(self) < len(pairs) else {}
        self.twice = [name for name, number in times.items() if number > 1]


def parse_object(content: bytes) -> dict[str, Any]:
    """Return the JSON object that these bytes are; raise ApiError (400) if they are none."""
    try:
        parsed = json.loads(content.decode(), object_pairs_hook=Members)
        problems = {path: [text] for path, text in unfit(parsed)}
    except UnicodeDecodeError:
        raise not_valid({}, "The body is not UTF-8") from None
    except (ValueError, RecursionError):
        raise not_valid({}, "The body is not JSON") from None
    if not isinstance(parsed, Members):
        raise not_valid({}, "The body is not a JSON object")
    if problems:
        raise not_valid(problems)
    return parsed


def unfit(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path of each member that is no JSON after all, or cannot be stored, and why."""
    match value:
        case str() if UNSTORABLE.search(value):
            yield path, "This has a null byte or half a surrogate pair."
        case float() if not isfinite(value):
            yield path, "This is no number."
        case Members():
            for name in value.twice:
                yield f"{path}.{name}" if path else name, "This member is there twice."
            for name, member in value.items():
                inner = f"{path}.{name}" if path else name
                if UNSTORABLE.search(name):
                    yield inner, "The name has a null byte or half a surrogate pair."
                yield from unfit(member, inner)
        case list():
            for item in value:
                yield from unfit(item, path)


def not_valid(problems: Mapping[str, list[str]], message: str = "") -> ApiError:
    """Return the error (400) of a body; without a message it names the members."""
    # A caller may choose a name that breaks the line, or never ends.
    names = shorten(", ".join(sorted(problems)), 200, placeholder=" …")
    message = message or f"Not valid: {names}"
    return ApiError(HTTPStatus.BAD_REQUEST, message, fields=problems)
