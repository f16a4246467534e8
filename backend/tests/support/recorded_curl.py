"""curl that also writes down what it asked and was answered, for scripts that find it first on their PATH."""

import json
import os
import shutil
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

RECORD = "calls.jsonl"


def recording(directory: Path) -> dict[str, str]:
    """Return the environment of a script whose calls of curl are to be written down in this directory."""
    curl = directory / "curl"
    curl.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {shutil.which("curl")} "$@"\n')
    curl.chmod(0o755)
    return {"PATH": f"{directory}:{os.environ['PATH']}", "CALLS": str(directory / RECORD)}


def recorded(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / RECORD).read_text().splitlines()]


def call(curl: str, *arguments: str) -> None:
    parser = ArgumentParser()
    for flag in ("-s", "-S"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("-X")
    parser.add_argument("-H", action="append", default=[])
    parser.add_argument("-d")
    parser.add_argument("-w", default="")
    parser.add_argument("url")
    asked = parser.parse_args(arguments)
    run = subprocess.run([curl, *arguments, "-w", "%{stderr}%{http_code}"], capture_output=True, text=True)
    status = int(run.stderr)
    sys.stdout.write(run.stdout + asked.w.replace("%{http_code}", str(status)).replace("\\n", "\n"))
    address = urlsplit(asked.url)
    written = {
        "method": asked.X or ("POST" if asked.d else "GET"),
        "target": address.path + (f"?{address.query}" if address.query else ""),
        "headers": dict(header.split(": ", 1) for header in asked.H),
        "body": json.loads(asked.d) if asked.d else None,
        "status": status,
        "answer": json.loads(run.stdout) if run.stdout else None,
    }
    with Path(os.environ["CALLS"]).open("a") as file:
        file.write(json.dumps(written) + "\n")


if __name__ == "__main__":
    call(*sys.argv[1:])
