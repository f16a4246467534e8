"""The API as a program calls it: with a token and a JSON body."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from shop.customers.tokens import issue
from shop.models import Customer
from tests.support.openapi import assert_answer

ROOT = "/shop/api/"


def bearer(account: Customer | User) -> dict[str, str]:
    """The header of who has just signed in."""
    access = issue(account, family=uuid4(), signed_in_at=timezone.now()).access
    return {"Authorization": f"Bearer {access}"}


@dataclass
class Caller:
    """Calls with the same headers each time, and is answered as the OpenAPI document says."""

    client: Client
    headers: dict[str, str]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send a value as JSON, or bytes as they are; without one no body. Headers have _ for hyphens."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        kind = "" if body is None else names.pop("Content-Type", "application/json")
        answer = self.client.generic(method, ROOT + path, content, kind, headers=self.headers | names)
        assert_answer(method, ROOT + path, answer)
        return answer

    def get(self, path: str) -> Any:
        return self.ask("GET", path)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.ask("POST", path, body, **headers)

    def put(self, path: str, body: Any) -> Any:
        return self.ask("PUT", path, body)

    def delete(self, path: str) -> Any:
        return self.ask("DELETE", path)


def told(answer: Any) -> tuple[int, Any]:
    """The status and the JSON of an answer, None without a body."""
    return answer.status_code, json.loads(answer.content) if answer.content else None
