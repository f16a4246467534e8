"""Requests as they reach the middleware, whatever their headers say."""

from django.http import HttpRequest
from django.utils.http import parse_header_parameters


class AnyContentType(HttpRequest):
    """A request whose Content-Type can be anything, to be mixed into those of WSGI and ASGI.

    Django reads it before any middleware could answer, takes any codec of Python's for a charset, and decodes
    the query string by it.
    """

    def _set_content_type_params(self, meta: dict[str, str]) -> None:
        """Read the Content-Type; the type is None if there is no sense in it.

        The charset is left to who reads the body: Django decodes all as UTF-8.
        """
        self.content_type: str | None
        try:
            self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
            b"text".decode(self.content_params.get("charset", "utf-8"))
        except Exception:  # noqa: BLE001 (the email package, which reads it, fails in many ways)
            self.content_type, self.content_params = None, {}
