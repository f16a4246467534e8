"""How the inputs of forms are drawn."""

from typing import Any

from django.forms.renderers import DjangoTemplates
from django.forms.utils import flatatt
from django.http import HttpRequest
from django.utils.html import format_html

PLAIN = [f"django/forms/widgets/{kind}.html" for kind in ("checkbox", "hidden", "number", "text")]


class InputRenderer(DjangoTemplates):
    """Draws plain inputs without a template: a list of forms has hundreds, and spent half its time there."""

    def render(self, template_name: str, context: dict[str, Any], request: HttpRequest | None = None) -> str:
        """Return the HTML of a form or a widget."""
        if template_name not in PLAIN:
            return super().render(template_name, context, request)
        widget = context["widget"]
        attributes = widget["attrs"] | {name: widget[name] for name in ("name", "value")}
        return format_html('<input type="{}"{}>', widget["type"], flatatt(attributes))
