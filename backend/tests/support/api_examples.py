"""The examples of docs/API.md, and the check that a shop with the sample data answers them.

`python -m tests.support.api_examples http://localhost:8000` asks a running shop.
"""

import json
import re
import sys
import urllib.error
import urllib.request
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
