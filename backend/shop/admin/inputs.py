"""How the inputs of forms are drawn."""

from typing import Any

from django.forms.renderers import DjangoTemplates
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join

PLAIN = [f"django/forms/widgets/{kind}.html" for kind in ("checkbox", "hidden", "number", "text")]


class InputRenderer(DjangoTemplates):
    """Draws plain inputs without a template: a list of forms has hundreds, and spent half its time there."""

    def render(self, template_name: str, context: dict[str, Any], request: HttpRequest | None = None) -> str:
        """Return the HTML of a form or a widget."""
        if template_name not in PLAIN:
            return super().render(template_name, context, request)
        widget = context["widget"]
        attributes = [("type", widget["type"]), ("name", widget["name"])]
        if widget["value"] is not None:
            attributes.append(("value", widget["value"]))
        attributes += [pair for pair in widget["attrs"].items() if pair[1] is not False]
        drawn = (
            (name if value is True else format_html('{}="{}"', name, value),) for name, value in attributes
        )
        return format_html("<input {}>", format_html_join(" ", "{}", drawn))
