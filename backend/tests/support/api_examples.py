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


def main(base: str) -> None:
    """Ask the shop at this address; end with 1 and the path when an answer is not the printed one."""
    for path, printed in examples():
        try:
            with urllib.request.urlopen(base + path) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            answer = json.load(error)
        if fold(answer, printed) != parse(printed):
            sys.exit(f"{base}{path} does not answer what {API_MD.name} shows: {json.dumps(answer)[:500]}")
        print(f"{path} answers what {API_MD.name} shows")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
