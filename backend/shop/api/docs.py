"""The page that shows the API's document, and tries it."""

from django.http import HttpRequest, HttpResponseBase
from django.template.loader import render_to_string

from shop.api.audience import EVERYBODY
from shop.api.query import parse_query
from shop.api.reading import PUBLIC, json_answer

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What it takes is files of the shop, and what it calls is the shop; icons stand in Swagger UI's style."""


class DocsPage:
    """The API's document to read and to try."""

    audience = EVERYBODY
    media_type = "text/html"
    schema = {"type": "string"}

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        parse_query(request.GET, {})
        response = json_answer(
            request,
            render_to_string("shop/docs.html"),
            {"Cache-Control": PUBLIC},
        )
        response["Content-Type"] = f"{self.media_type}; charset=utf-8"
        response["Content-Security-Policy"] = POLICY
        return response
