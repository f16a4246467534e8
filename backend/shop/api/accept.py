"""What a request likes to be answered in, by its Accept header (RFC 9110, section 12.5.1)."""

import re

from django.http import HttpRequest

JSON = "application/json"
CSV = "text/csv"
PROBLEM = "application/problem+json"

QUALITY = re.compile(r"(0(\.[0-9]{0,3})?|1(\.0{0,3})?)")


def qualities(accept: str) -> dict[str, float]:
    """Return how much each media range of a header in lower case is liked, without those that are not."""
    found = {}
    for part in accept.split(","):
        name, *parameters = (text.strip() for text in part.split(";"))
        quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        if QUALITY.fullmatch(quality) and float(quality):
            found[name] = float(quality)
    return found


def named(request: HttpRequest, media_type: str) -> tuple[float, float, bool]:
    """Return how much the request likes a media type that it names, how much JSON, and which it names first.

    A range such as `*/*` names none: for who sends that everything is as for who sends nothing.
    """
    accept = request.META.get("HTTP_ACCEPT", "").lower()
    if media_type not in accept:  # hardly anybody asks for anything else than JSON
        return 0, 1, False
    liked = qualities(accept)
    json = liked.get(JSON, liked.get("application/*", liked.get("*/*", 0)))
    names = [name for name in liked if name in (media_type, JSON)]
    return liked.get(media_type, 0), json, names[:1] == [media_type]


def wants_csv(request: HttpRequest) -> bool:
    """Tell whether rows are wanted as CSV: that is named, and JSON neither liked more nor named before."""
    csv, json, is_first = named(request, CSV)
    return csv > json or (csv == json and is_first)


def wants_problem(request: HttpRequest) -> bool:
    """Tell whether errors are wanted as problem details: they are named, and JSON is not liked more."""
    problem, json, _ = named(request, PROBLEM)
    return 0 < problem >= json
