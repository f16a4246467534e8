"""The blocks of docs/SELLING.md, docs/PAYING.md and the writing part of docs/API.md, run as a script each."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management import call_command

from shop.orders.books import faults
from shop.urls import EXAMPLES
from tests import ROOT
from tests.support.api_examples import writing_part
from tests.support.recorded_curl import recorded, recording
from tests.support.recorded_examples import examples_of_reads, examples_of_writes, reads
from tests.support.serving import serving

SCRIPTS = {"SELLING.md": "sell.sh", "PAYING.md": "pay.sh"}
PAGES = {
    **{name: (ROOT / "docs" / name).read_text() for name in SCRIPTS},
    "API.md": writing_part(),
}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.+?)^```", PAGES[page], re.M | re.S)


def values(text: str) -> Iterator[Any]:
    """The JSON values that stand one after the other in a text."""
    decoder, position = json.JSONDecoder(), 0
    while rest := text[position:].lstrip():
        value, length = decoder.raw_decode(rest)
        position = len(text) - len(rest) + length
        yield value


def assert_shown(printed: Any, answered: Any) -> None:
    """It is what is printed, where … stands for any text."""
    if isinstance(printed, str) and "…" in printed:
        assert re.fullmatch(re.escape(printed).replace("…", ".*"), answered)
    elif isinstance(printed, dict):
        assert list(printed) == list(answered)
        for name in printed:
            assert_shown(printed[name], answered[name])
    elif isinstance(printed, list):
        assert len(printed) == len(answered)
        for one, other in zip(printed, answered, strict=True):
            assert_shown(one, other)
    else:
        assert printed == answered


@pytest.mark.parametrize(("page", "script"), SCRIPTS.items())
def test_the_page_shows_the_script(page: str, script: str) -> None:
    assert (ROOT / "docs" / script).read_text().partition("\n\n")[2] == "\n".join(blocks(page, "sh"))


@pytest.mark.slow
@pytest.mark.django_db(transaction=True, reset_sequences=True)
@pytest.mark.parametrize("page", PAGES)
def test_the_script_answers_what_the_page_shows(
    page: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """What API.md asks and is answered is kept for the OpenAPI document."""
    call_command("load_sample_data")
    # As production hashes it: the server does not know the hash of the tests.
    password = make_password("admin123", hasher="pbkdf2_sha256")
    User.objects.create(username="admin", password=password, is_staff=True, is_superuser=True)
    payment = {"SHOP_PAYMENT": "test", "SHOP_PAYMENT_TEST": "1"} if page == "PAYING.md" else {}
    with serving(tmp_path, "--workers=1", **payment) as shop:
        statuses = [shop.get(path, Accept=accept or "*/*").status for accept, path, _ in reads()]
        run = subprocess.run(
            ["sh", "-euc", "\n".join(blocks(page, "sh"))],
            env=(recording(tmp_path) if page == "API.md" else {"PATH": os.environ["PATH"]})
            | {"SHOP": f"http://127.0.0.1:{shop.port}"},
            capture_output=True,
            text=True,
            check=True,
        )
    assert run.stderr == ""
    printed = [value for block in blocks(page, "json") for value in values(block)]
    assert_shown(printed, list(values(run.stdout)))
    if page == "API.md":
        found = [*examples_of_reads(statuses), *examples_of_writes(recorded(tmp_path), printed)]
        if pytestconfig.option.record_examples:
            EXAMPLES.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n")
        assert json.loads(EXAMPLES.read_text()) == found
    assert faults() == []
