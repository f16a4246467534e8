"""The examples of docs/API.md, and the check that a shop with the sample data answers them.

`python -m tests.support.api_examples http://localhost:8000` asks a running shop.
"""

import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from tests import ROOT

API_MD = ROOT / "docs" / "API.md"
CURL = r"curl -s '?http://localhost:8000([^\s']+)'?"
EXAMPLE = re.compile(rf"```sh\n{CURL}\n```\n+```json\n(.+?)```", re.S)
CURL_WITH_ACCEPT = CURL.replace("curl -s ", "curl -s -H 'Accept: ([^']+)' ")
EXAMPLE_WITH_ACCEPT = re.compile(rf"```sh\n{CURL_WITH_ACCEPT}\n```\n+```(?:json|text)\n(.+?)```", re.S)
GAP = re.compile(r"… (\d+) more")


def reading_part() -> str:
    """Return what docs/API.md says of reads without a token, each example of which stands by itself."""
    return API_MD.read_text(encoding="utf-8").partition("## Writing\n")[0]


def writing_part() -> str:
    """Return what docs/API.md says of writes, whose blocks are one script."""
    return API_MD.read_text(encoding="utf-8").partition("## Writing\n")[2]


def examples() -> list[tuple[str, str]]:
    """Return the path and the printed answer of each curl in the reading part of docs/API.md."""
    return EXAMPLE.findall(reading_part())


def examples_with_accept() -> list[tuple[str, str, str]]:
    """Return the Accept header, the path and the printed answer of each other curl there."""
    return EXAMPLE_WITH_ACCEPT.findall(reading_part())


def fold(answer: Any, printed: str) -> Any:
    """Return the answer with the rows left out that the printed one leaves out with `… 3 more`."""
    if not GAP.search(printed):
        return answer
    rows, folded = iter(answer), []
    for line in printed.strip().splitlines()[1:-1]:
        gap = GAP.search(line)
        if gap:
            for _ in range(int(gap[1])):
                next(rows)
            folded.append(gap[0])
        else:
            folded.append(next(rows))
    return folded + list(rows)


def parse(printed: str) -> Any:
    """Return the printed answer; what it leaves out stands as a string."""
    return json.loads(GAP.sub(r'"\g<0>"', printed))


def is_printed(answer: str, printed: str) -> bool:
    """Tell whether an answer is the printed one: JSON by its values, CSV line by line."""
    if printed.startswith(("[", "{")):
        return bool(fold(json.loads(answer), printed) == parse(printed))
    return answer.replace("\r\n", "\n") == printed


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


def examples_of_reads(asked: list[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    """Yield the examples of the reading part, of which the status was seen; rows left out are left out."""
    for name, (path, printed), (_, status) in zip(sections(reading_part()), examples(), asked, strict=True):
        answer = parse(printed)
        if isinstance(answer, list):
            answer = [row for row in answer if not isinstance(row, str)]
        yield example(name, "GET", path, status, answer=answer)


def examples_of_writes(calls: list[dict[str, Any]], printed: list[Any]) -> Iterator[dict[str, Any]]:
    """Yield the examples of the writing part; what differs from time to time is as it is printed there."""
    hidden: dict[str, str] = {}
    for name, call, answer in zip(sections(f"## Writing\n{writing_part()}"), calls, printed, strict=True):
        hidden |= dict(differing(answer, call["answer"]))
        headers = {key: value for key, value in call["headers"].items() if key == "Idempotency-Key"}
        body = (
            {member: hidden.get(value, value) for member, value in call["body"].items()}
            if call["body"]
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


USUAL = {"order_date": "2026-11-24", "at": "2026-11-24T09:30:00Z"}


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


def main(base: str) -> None:
    """Ask the shop at this address; end with 1 and the path when an answer is not the printed one."""
    for accept, path, printed in [*(("*/*", *example) for example in examples()), *examples_with_accept()]:
        request = urllib.request.Request(base + path, headers={"Accept": accept})
        try:
            with urllib.request.urlopen(request) as response:
                answer = response.read().decode()
        except urllib.error.HTTPError as error:
            answer = error.read().decode()
        if not is_printed(answer, printed):
            sys.exit(f"{base}{path} does not answer what {API_MD.name} shows: {answer[:500]}")
        print(f"{path} answers what {API_MD.name} shows")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
