"""The requests of docs/API.md with what is answered, as shop/api/openapi.py reads them."""

import re
from collections.abc import Iterator
from typing import Any

from tests.support.api_examples import parse, reading_part, writing_part

READ = re.compile(
    r"```sh\ncurl -s (?:-H 'Accept: ([^']+)' )?'?http://localhost:8000([^\s']+)'?\n```\n+```(?:json|text)\n(.+?)```",
    re.S,
)


def sections(page: str) -> Iterator[str]:
    """Yield the name of the section that each curl of a page stands in, and which it is there."""
    for section in re.split("^## ", page, flags=re.M)[1:]:
        name = section.partition("\n")[0].lower().replace(" ", "-")
        curls = "".join(re.findall(r"^```sh\n(.+?)^```", section, re.M | re.S)).count("curl -")
        yield from (f"{name}-{number}" for number in range(1, curls + 1))


def example(name: str, method: str, target: str, status: int, **more: Any) -> dict[str, Any]:
    """Return what shop/api/openapi.py reads as an Example."""
    path, _, query = target.partition("?")
    head = {"name": name, "method": method, "path": path, "query": query}
    return head | {"headers": {}, "body": None, "status": status, "answer": None} | more


def reads() -> list[tuple[str, str, str]]:
    """Return the Accept header, the path and the printed answer of each curl of the reading part."""
    return READ.findall(reading_part())


def examples_of_reads(statuses: list[int]) -> Iterator[dict[str, Any]]:
    """Yield the examples of the reading part, which were answered so; rows left out there are left out."""
    for name, (accept, path, printed), status in zip(
        sections(reading_part()), reads(), statuses, strict=True
    ):
        answer = parse(printed) if printed.startswith(("[", "{")) else printed.replace("\n", "\r\n")
        if isinstance(answer, list):
            answer = [row for row in answer if not isinstance(row, str)]
        headers = {"Accept": accept} if accept else {}
        yield example(name, "GET", path, status, answer=answer, headers=headers)


def examples_of_writes(calls: list[dict[str, Any]], printed: list[Any]) -> Iterator[dict[str, Any]]:
    """Yield the examples of the writing part; what differs from time to time is as it is printed there."""
    hidden: dict[str, str] = {}
    for name, call, answer in zip(sections(f"## Writing\n{writing_part()}"), calls, printed, strict=True):
        hidden |= dict(differing(answer, call["answer"]))
        headers = {key: value for key, value in call["headers"].items() if key == "Idempotency-Key"}
        body = (
            {member: hidden.get(value, value) for member, value in call["body"].items()}
            if call["body"] is not None
            else None
        )
        shown = {} if call["answer"] is None else {"answer": usual(answer)}
        yield example(
            name, call["method"], call["target"], call["status"], headers=headers, body=body, **shown
        )


def differing(printed: Any, answered: Any) -> Iterator[tuple[str, str]]:
    """Yield each text that is printed as … with that."""
    if isinstance(printed, dict) and isinstance(answered, dict):
        for name, value in printed.items():
            if value == "…":
                yield answered[name], value


USUAL = {"order_date": "2026-11-24", "at": "2026-11-24T09:30:00Z", "created_at": "2026-11-24T09:31:00Z"}


def usual(printed: Any) -> Any:
    """Return a printed value with a date or a time in the place of …."""
    match printed:
        case dict():
            return {
                name: USUAL.get(name, value) if value == "…" else usual(value)
                for name, value in printed.items()
            }
        case list():
            return [usual(value) for value in printed]
    return printed
