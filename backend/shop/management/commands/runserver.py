"""`manage.py runserver`: Django's; without a database it ends with one line."""

import os
from typing import Any

from django.contrib.staticfiles.management.commands import runserver
from django.core.servers.basehttp import WSGIRequestHandler, WSGIServer
from django.db import OperationalError, connections

from shop.database.errors import one_line


class Handler(WSGIRequestHandler):
    """Django's, but for Python's invention: that a body without a type is plain text."""

    def get_environ(self) -> dict[str, Any]:
        """Return what the shop is told of a request."""
        environ = super().get_environ()
        if "Content-Type" not in self.headers:
            del environ["CONTENT_TYPE"]
        return environ


class Server(WSGIServer):
    """Django's development server, whose threads end their connections to the database when they end.

    Each connection of a client has a thread. What a thread left open would stay until Python collects its
    garbage: a hundred clients later PostgreSQL would take no more.
    """

    request_queue_size = 1024  # with Django's 10, of 50 clients at the same moment some are reset

    def __init__(self, address: tuple[str, int], _: type[WSGIRequestHandler], **options: Any) -> None:
        super().__init__(address, Handler, **options)

    def close_request(self, request: Any) -> None:
        """End what the thread of this client has open."""
        connections.close_all()
        super().close_request(request)


class Command(runserver.Command):
    """Serve for developers, with static files."""

    server_cls = Server

    def check_migrations(self) -> None:
        """Tell which migrations are missing; end the process when there is no database to ask."""
        try:
            super().check_migrations()
        except OperationalError as error:
            self.stderr.write(f"manage.py: the database does not answer: {one_line(error)}")
            os._exit(1)  # the server runs in a thread, whose exceptions end nothing
