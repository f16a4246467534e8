"""Log lines for programs: what production writes, Django's and gunicorn's alike."""

import logging
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter


def json_lines(**_: Any) -> JsonFormatter:
    """Return the formatter that makes a record one line of JSON, the traceback in `exc_info` included."""
    return JsonFormatter(
        ["levelname", "name", "message"],
        rename_fields={"levelname": "level", "name": "logger"},
        reserved_attrs=[*RESERVED_ATTRS, "request"],  # Django's request would show its query string
        timestamp="time",
    )


def is_failure(record: logging.LogRecord) -> bool:
    """Tell whether a record is of an exception that nobody expected, as a filter."""
    return record.levelno >= logging.ERROR and bool(record.exc_info)
