"""How the inputs of forms are drawn."""

import pytest
from django import forms
from django.forms.renderers import DjangoTemplates, get_default_renderer

WIDGETS = (forms.CheckboxInput, forms.HiddenInput, forms.NumberInput, forms.TextInput, forms.Textarea)


@pytest.mark.parametrize("value", [None, "", True, 0, "12.50", '"><script>&', "Ünïcödé"])
def test_inputs_are_drawn_as_django_draws_them(value: object) -> None:
    attrs = {
        "id": "id_it",
        "aria-label": 'the "price" of <b>',
        "required": True,
        "disabled": False,
        "step": 1,
    }
    for widget in WIDGETS:
        drawn = [
            str(widget().render("its name", value, attrs, renderer))
            for renderer in (get_default_renderer(), DjangoTemplates())
        ]
        assert drawn[0] == drawn[1], widget
    assert type(get_default_renderer()) is not DjangoTemplates


def test_what_stands_in_an_input_is_escaped() -> None:
    class Form(forms.Form):
        name = forms.CharField(initial='"><script>&', show_hidden_initial=True)

    assert str(Form()["name"]) == (
        '<input type="text" name="name" value="&quot;&gt;&lt;script&gt;&amp;" required id="id_name">'
        '<input type="hidden" name="initial-name" value="&quot;&gt;&lt;script&gt;&amp;" id="initial-id_name">'
    )
