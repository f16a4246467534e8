"""How gunicorn serves the shop in production; it reads this file by itself."""

import gc
import logging
import re

from gunicorn.config import Config
from gunicorn.glogging import Logger

from webshop.logs import json_lines

bind = "0.0.0.0:8000"
workers = 3
# The application is loaded once, before the workers are forked: a bad setting ends the start with one line.
preload_app = True
# Nobody drives it at run time; its socket would need a home directory.
control_socket_disable = True


def quote_nothing(record: logging.LogRecord) -> bool:
    """Take out of gunicorn's records what they quote of a request: it may be a cookie or a query string."""
    if found := re.match("Invalid request|Error handling request", str(record.msg)):
        record.msg, record.args = found[0], None
    return True


class logger_class(Logger):  # type: ignore[misc]  # noqa: N801
    """Gunicorn's log in JSON lines. It has no access log: webshop/observe.py writes a line per request."""

    def setup(self, cfg: Config) -> None:
        """Set the log up as gunicorn does, but for its lines."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(json_lines())
            handler.addFilter(quote_nothing)


def when_ready(_: object) -> None:
    """Take what is loaded so far out of the garbage collector's hands: it stays, and workers share it."""
    gc.freeze()
