"""What README.md and docs/ say is true: examples are answered, snippets run, commands are run by the gate."""

import code
import doctest
import re
import sys
import traceback
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import get_commands
from django.test import Client

from shop.urls import urlpatterns
from tests import BACKEND, ROOT
from tests.support.api_examples import (
    CURL,
    CURL_WITH_ACCEPT,
    examples,
    examples_with_accept,
    fold,
    is_printed,
    parse,
    reading_part,
)

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.+?)^```", page.read_text(), re.M | re.S)


def test_the_pages_are_there() -> None:
    names = {page.name for page in PAGES}
    assert {"README.md", "SETUP_COMPLETE.md", "QUERIES.md", "PROJECT_STRUCTURE.md", "API.md"} <= names


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    for page in PAGES:
        kinds = set(re.findall(r"^```(\w*)\n.+?^```", page.read_text(), re.M | re.S))
        assert kinds <= {"sh", "json", "python", "env", "text", ""}, page.name
        assert "" not in kinds or page.name == "PROJECT_STRUCTURE.md"


def test_the_examples_of_api_md_are_answered(client: Client, sample_data: None) -> None:
    printed_blocks = re.findall("^```(?:json|text)\n", reading_part(), re.M)
    assert len(examples()) + len(examples_with_accept()) == len(printed_blocks)
    for path, printed in examples():
        assert fold(client.get(path).json(), printed) == parse(printed), path
    for accept, path, printed in examples_with_accept():
        answer = client.get(path, headers={"accept": accept})
        assert answer.headers["Content-Type"].partition(";")[0] == accept
        assert is_printed(answer.content.decode(), printed), path


def test_api_md_and_readme_name_every_endpoint() -> None:
    paths = {str(pattern.pattern).replace("<int:", "<") for pattern in urlpatterns} - {""}
    for name in ("README.md", "docs/API.md"):
        rows = re.findall(r"^\| (\[?`[\w/<>-]+(?:/|\.json)`.*?) \|", (ROOT / name).read_text(), re.M)
        named = [path for row in rows for path in re.findall(r"`([\w/<>-]+(?:/|\.json))`", row)]
        assert sorted(named) == sorted(paths), name


class Shell(code.InteractiveConsole):
    """`manage.py shell`, with the last line alone of a traceback."""

    def showtraceback(self) -> None:
        print("".join(traceback.format_exception_only(sys.exception())), end="")  # noqa: T201


@pytest.mark.django_db(transaction=True)
def test_the_blocks_of_queries_md_pasted_into_the_shell_give_what_is_printed(sample_data: None) -> None:
    pasted = blocks(ROOT / "docs" / "QUERIES.md", "python")
    assert pasted
    for block in pasted:
        shell = Shell({model.__name__: model for model in apps.get_models()})
        screen, unfinished = "", False
        for line in block.splitlines():
            if not line.startswith("# "):
                with redirect_stdout(StringIO()) as printed:
                    unfinished = shell.push(line)
                screen += f"{line}\n" + re.sub("^", "# ", printed.getvalue(), flags=re.M).removesuffix("# ")
        assert not unfinished, block
        assert doctest.OutputChecker().check_output(block, screen, doctest.ELLIPSIS), screen


def commands() -> list[str]:
    """Each line is a command, but where the blocks are one script (test_shell_pages.py)."""
    pages = [page.read_text() for page in PAGES if page.name not in ("SELLING.md", "PAYING.md", "API.md")]
    pages.append(reading_part())
    found = [block for page in pages for block in re.findall(r"^```sh\n(.+?)^```", page, re.M | re.S)]
    return [line for block in found for line in block.splitlines()]


def commands_in_prose() -> list[str]:
    return re.findall(r"`((?:docker|uv) [^`]+)`", "".join(page.read_text() for page in PAGES))


RUN_BY_TESTS = {  # of tests/production/ and tests/webshop/test_quickstart.py
    "docker ps",
    "docker compose ls -a",
    "docker compose logs web nginx",
    "docker compose up -d --force-recreate nginx",
    "uv run manage.py quickstart 8001",
}


def test_every_command_is_run_by_the_gate() -> None:
    """As a whole, with more arguments behind it at the most."""
    files = sorted(path for path in (ROOT / ".ci").rglob("*") if path.is_file())
    gate = re.sub(r"^\s*#.*", "", "".join(path.read_text() for path in files), flags=re.M)
    before = r"^\s*|\(cd \.\. && |timeout 3 |PASSWORD=\w+ "
    lines = {line for line in commands() if not re.match(f"{CURL}|{CURL_WITH_ACCEPT}", line)}
    for command in lines | {*commands_in_prose()} - RUN_BY_TESTS:
        assert re.search(rf"({before}){re.escape(command)}($|[ )])", gate, re.M), command


def test_every_curl_is_an_example_of_api_md() -> None:
    paths = {match[1] for line in commands() if (match := re.fullmatch(CURL, line))}
    assert paths
    assert paths <= dict(examples()).keys()


def test_every_curl_that_says_what_it_accepts_is_an_example_of_api_md() -> None:
    found = [match.groups() for line in commands() if (match := re.fullmatch(CURL_WITH_ACCEPT, line))]
    assert sorted(found) == sorted(example[:2] for example in examples_with_accept())


def test_every_management_command_that_is_named_exists() -> None:
    text = "".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"manage\.py (\w+)", text))
    assert named - {"quickstart"} <= set(get_commands())


def test_the_environment_variables_are_those_of_the_settings() -> None:
    page = (ROOT / "docs" / "SETUP_COMPLETE.md").read_text()
    documented = set(re.findall(r"^\| `([A-Z_]+)`", page, re.M))
    code = (BACKEND / "webshop" / "settings.py").read_text()
    code += (BACKEND / "entrypoint.sh").read_text()
    read = set(
        re.findall(
            r"\b(?:DEBUG|DATABASE_[A-Z_]+|DJANGO_[A-Z_]+|SENTRY_[A-Z_]+|SHOP_[A-Z_]+|EMAIL_[A-Z_]+|STRIPE_[A-Z_]+)\b",
            code,
        )
    )
    read |= {f"{name}_FILE" for name in re.findall(r'env_secrets?\("(\w+)"\)', code)}
    read |= set(re.findall(r"\$\{(\w+):-", (BACKEND / "compose.yml").read_text()))
    internal = {"DJANGO_SETTINGS_MODULE", "DJANGO_SUPERUSER_PASSWORD", "DJANGO_SUPERUSER_EMAIL"}
    internal |= {"DATABASE_ROUTERS", "EMAIL_BACKEND", "EMAIL_TIMEOUT"}  # Django's
    internal |= {"STRIPE_WEBHOOK_SECRETS"}
    assert documented == read - internal
    example = (BACKEND / ".env.example").read_text()
    assert set(re.findall(r"^([A-Z_]+)=", example, re.M)) <= documented


def test_the_variables_of_the_production_stack_are_documented() -> None:
    stack = "".join((BACKEND / f"compose.{name}.yml").read_text() for name in ("prod", "secrets", "stripe"))
    read = set(re.findall(r"\$\{([A-Z_]+)", stack))
    pages = "".join((ROOT / "docs" / name).read_text() for name in ("SETUP_COMPLETE.md", "DEPLOYMENT.md"))
    assert read <= set(re.findall(r"\b[A-Z_]{5,}\b", pages))
    assert len(read) > 15


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text()):
            path, _, anchor = target.partition("#")
            linked = (page.parent / path) if path else page
            assert linked.exists(), f"{page.name}: {target}"
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.M) if anchor else []
            assert not anchor or anchor in [heading.lower().replace(" ", "-") for heading in headings], target


def test_project_structure_names_what_is_there() -> None:
    """The files of a directory are indented below it."""
    (tree,) = blocks(ROOT / "docs" / "PROJECT_STRUCTURE.md", "")
    parents = [ROOT]
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        names = re.match(r"\s*([\w./-]+(?:, [\w./-]+)*)", line)
        assert names, line
        for name in names[1].split(", "):
            assert (parents[depth] / name).exists(), line
        parents[depth + 1 :] = [parents[depth] / names[1].split(", ")[0]]
    for package in ("webshop", "shop"):
        for module in (ROOT / "backend" / package).glob("[!_]*.py"):
            assert re.search(rf"\b{module.name}\b", tree), module
