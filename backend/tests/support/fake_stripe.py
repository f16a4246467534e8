"""A stand-in for Stripe: what the shop calls of it, over HTTP, and what may go wrong with it.

It knows Checkout Sessions, refunds, disputes, keys that give the first answer again, and signed events.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from hashlib import sha256
from hmac import HMAC
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pytest_django import Settings

KEY = "sk_test_of_the_shop"
SECRET = "whsec_of_the_shop"

type Thing = dict[str, Any]

TAKEN = {
    "mode",
    "allowed_payment_method_types",
    "adaptive_pricing",
    "line_items",
    "client_reference_id",
    "metadata",
    "payment_intent_data",
    "success_url",
    "cancel_url",
    "expires_at",
}
"""The parameters that a session is made of here."""


class Refused(Exception):  # noqa: N818 - it is no error
    """An error that Stripe answers with; `kept` under the key, as those are that the endpoint itself made."""

    def __init__(
        self, status: int, code: str = "", kind: str = "invalid_request_error", *, kept: bool = False
    ) -> None:
        super().__init__(code)
        self.status, self.kept = status, kept
        self.body = {"error": {"type": kind, "code": code, "message": f"Ada's request: {code}"}}


class FakeStripe:
    """What Stripe knows, and a server that answers for it.

    `calls` are the requests so far, as "POST /v1/refunds". `faults` are the next ones to go wrong, a list for
    each such request: "refuse", "busy", "limited" (busy, as it was told once), "broken" (a 500 that is kept),
    "away" (a 503 before anything was done), "cut" (done, but not answered), "hang" (done, and answered when
    `go_on` is set). `refunds_are` is
    the status in which a refund begins.
    """

    def __init__(self) -> None:
        self.sessions: dict[str, Thing] = {}
        self.intents: dict[str, Thing] = {}
        self.refunds: dict[str, Thing] = {}
        self.disputes: dict[str, Thing] = {}
        self.answers: dict[str, tuple[Thing, int, Thing]] = {}
        self.calls: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.faults: dict[str, list[str]] = {}
        self.refunds_are = "succeeded"
        self.go_on = threading.Event()
        self.lock = threading.RLock()
        self.numbers = count(1)
        self.url = ""

    # What happens at Stripe without the shop.

    def pay(self, session: str, *, amount: int | None = None, currency: str = "") -> Thing:
        """Let the customer pay, so much; it may be too late. Return the event."""
        with self.lock:
            found = self.sessions[session]
            intent = self.intent_of(found)
            cents = found["amount_total"] if amount is None else amount
            intent |= {"status": "succeeded", "amount_received": cents}
            intent["currency"] = currency or found["currency"]
            intent["latest_charge"] = {
                "id": self.new("ch"),
                "object": "charge",
                "payment_intent": intent["id"],
                "metadata": intent["metadata"],
                "disputed": False,
            }
            if found["status"] == "open":
                found |= {"status": "complete", "payment_status": "paid", "url": None}
        return self.event("checkout.session.completed", found)

    def refuse_card(self, session: str) -> None:
        """Let the customer try a card that is refused; the page stays open."""
        with self.lock:
            self.intent_of(self.sessions[session])["status"] = "requires_payment_method"

    def close(self, session: str) -> Thing:
        """Let the time of a page be over. Return the event."""
        with self.lock:
            self.sessions[session] |= {"status": "expired", "url": None}
        return self.event("checkout.session.expired", self.sessions[session])

    def give_back(self, session: str, amount: int, status: str = "succeeded") -> Thing:
        """Refund by the dashboard. Return the event."""
        with self.lock:
            intent = self.intent_of(self.sessions[session])
            refund = self.add_refund(intent, amount, status)
        return self.event("charge.refunded", intent["latest_charge"] | {"refunds": [refund["id"]]})

    def settle_refunds(self, status: str = "succeeded") -> Thing:
        """Let what is pending come to an end. Return the event of the last one."""
        with self.lock:
            pending = [refund for refund in self.refunds.values() if refund["status"] == "pending"]
            for refund in pending:
                refund["status"] = status
        return self.event("refund.updated" if status == "succeeded" else "refund.failed", pending[-1])

    def charge_back(self, session: str, status: str = "needs_response") -> Thing:
        """Let the customer's bank take it back. Return the event."""
        with self.lock:
            intent = self.intent_of(self.sessions[session])
            intent["latest_charge"]["disputed"] = True
            dispute = {
                "id": self.new("dp"),
                "object": "dispute",
                "status": status,
                "payment_intent": intent["id"],
                "charge": intent["latest_charge"]["id"],
            }
            self.disputes[dispute["id"]] = dispute
        return self.event("charge.dispute.created", dispute)

    def event(self, kind: str, about: Thing) -> Thing:
        with self.lock:
            return {
                "id": self.new("evt"),
                "object": "event",
                "type": kind,
                "created": int(time.time()),
                "data": {"object": deepcopy(about)},
            }

    # What the shop asks for.

    def answer(self, method: str, path: str, params: Thing, key: str) -> tuple[int, Thing, bool]:
        """Return status and body, and whether they are those of an earlier request with this key."""
        with self.lock:
            if known := self.answers.get(key):
                if known[0] != params:
                    return *outcome(Refused(400, "", "idempotency_error")), False
                return known[1], known[2], True
            fault = self.next_fault(f"{method} {path}")
            try:
                raise_fault(fault)
                status, body = 200, deepcopy(self.act(method, path, params))
            except Refused as refusal:
                status, body = outcome(refusal)
                if not refusal.kept:
                    return status, body, False
            if key:
                self.answers[key] = (params, status, body)
        if fault == "hang":
            self.go_on.wait(60)
        if fault == "cut":
            raise ConnectionError
        return status, body, False

    def next_fault(self, call: str) -> str:
        planned = self.faults.get(call)
        return planned.pop(0) if planned else ""

    def act(self, method: str, path: str, params: Thing) -> Thing:
        match method, path.removeprefix("/v1/").split("/"):
            case "POST", ["checkout", "sessions"]:
                return self.make_session(params)
            case "POST", ["checkout", "sessions", session, "expire"]:
                found = one_of(self.sessions, session)
                if found["status"] != "open":
                    raise Refused(400, "checkout_session_not_open", kept=True)
                self.close(session)
                return found
            case "GET", ["checkout", "sessions", session]:
                found = dict(one_of(self.sessions, session))
                if found["payment_intent"] and "payment_intent.latest_charge" in params.get("expand", []):
                    found["payment_intent"] = self.intents[found["payment_intent"]]
                return found
            case "GET", ["checkout", "sessions"]:
                return listed(path, self.sessions, params)
            case "POST", ["refunds"]:
                return self.refund(params)
            case "GET", ["refunds"]:
                return listed(path, self.refunds, params)
            case "GET", ["disputes"]:
                return listed(path, self.disputes, params)
        raise Refused(404, "url_unknown")

    def make_session(self, params: Thing) -> Thing:
        item = params["line_items"][0]
        amount = int(item["price_data"]["unit_amount"]) * int(item["quantity"])
        ahead = int(params["expires_at"]) - time.time()
        if unknown := params.keys() - TAKEN:
            raise Refused(400, f"parameter_unknown {unknown}")
        if amount < 50:
            raise Refused(400, "amount_too_small")
        if not 30 * 60 <= ahead <= 24 * 60 * 60:
            raise Refused(400, "expires_at_invalid")
        if not params["success_url"].startswith(("http://", "https://")):
            raise Refused(400, "url_invalid")
        name = self.new("cs_test")
        self.sessions[name] = {
            "id": name,
            "object": "checkout.session",
            "status": "open",
            "payment_status": "unpaid",
            "payment_intent": None,
            "amount_total": amount,
            "currency": item["price_data"]["currency"],
            "expires_at": int(params["expires_at"]),
            "url": f"https://checkout.stripe.com/c/pay/{name}",
            "client_reference_id": params["client_reference_id"],
            "metadata": params["metadata"],
            "params": params,
        }
        return self.sessions[name]

    def intent_of(self, session: Thing) -> Thing:
        """Return what is paid with, which is made when a customer first tries."""
        if not session["payment_intent"]:
            name = session["payment_intent"] = self.new("pi")
            self.intents[name] = {
                "id": name,
                "object": "payment_intent",
                "status": "requires_payment_method",
                "amount_received": 0,
                "currency": session["currency"],
                "latest_charge": None,
                "metadata": session["params"]["payment_intent_data"]["metadata"],
            }
        return self.intents[session["payment_intent"]]

    def refund(self, params: Thing) -> Thing:
        intent = one_of(self.intents, params["payment_intent"])
        charge = intent["latest_charge"]
        if charge["disputed"]:
            raise Refused(400, "charge_disputed", kept=True)
        given = [one for one in self.refunds.values() if one["payment_intent"] == intent["id"]]
        left = intent["amount_received"] - sum(
            one["amount"] for one in given if one["status"] in ("succeeded", "pending")
        )
        if int(params["amount"]) > left:
            raise Refused(400, "charge_already_refunded", kept=True)
        return self.add_refund(intent, int(params["amount"]), self.refunds_are)

    def add_refund(self, intent: Thing, amount: int, status: str) -> Thing:
        name = self.new("re")
        self.refunds[name] = {
            "id": name,
            "object": "refund",
            "status": status,
            "amount": amount,
            "payment_intent": intent["id"],
            "charge": intent["latest_charge"]["id"],
            "created": int(time.time()),
        }
        return self.refunds[name]

    def new(self, prefix: str) -> str:
        return f"{prefix}_{next(self.numbers)}"


def one_of(things: dict[str, Thing], name: str) -> Thing:
    if name not in things:
        raise Refused(404, "resource_missing")
    return things[name]


def listed(path: str, things: dict[str, Thing], params: Thing) -> Thing:
    """Return those of a payment intent, the newest first, two at a time."""
    found = [thing for thing in things.values() if thing["payment_intent"] == params["payment_intent"]]
    found.reverse()
    if after := params.get("starting_after"):
        found = found[[thing["id"] for thing in found].index(after) + 1 :]
    return {"object": "list", "url": path, "data": found[:2], "has_more": len(found) > 2}


def raise_fault(fault: str) -> None:
    match fault:
        case "refuse":
            raise Refused(402, "card_declined", "card_error", kept=True)
        case "busy":
            raise Refused(429, "rate_limit")
        case "limited":
            raise Refused(400, "rate_limit")
        case "broken":
            raise Refused(500, "", "api_error", kept=True)
        case "away":
            raise Refused(503, "", "api_error")


def outcome(refusal: Refused) -> tuple[int, Thing]:
    return refusal.status, refusal.body


def parsed(text: str) -> Thing:
    """Return what stands in a form, `a[b][0]=c` being a list in an object."""
    found: Thing = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        first, *rest = name.replace("]", "").split("[")
        place, step = found, first
        for deeper in rest:
            place = place.setdefault(step, {})
            step = deeper
        place[step] = value
    return {name: as_lists(value) for name, value in found.items()}


def as_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(name.isdecimal() for name in value):
        return [as_lists(item) for item in value.values()]
    return {name: as_lists(item) for name, item in value.items()}


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP for the fake of its server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # the body goes out at once, not when the head was acknowledged
    fake: FakeStripe

    def respond(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        fake = self.fake
        fake.calls.append(f"{self.command} {parts.path}")
        fake.headers.append(dict(self.headers))
        key = self.headers.get("Idempotency-Key", "") if self.command == "POST" else ""
        status, answer, replayed = 401, Refused(401, "api_key_invalid").body, False
        if self.headers["Authorization"] == f"Bearer {KEY}":
            try:
                status, answer, replayed = fake.answer(
                    self.command, parts.path, parsed(body or parts.query), key
                )
            except ConnectionError:
                self.close_connection = True
                return
        content = json.dumps(answer).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Request-Id", f"req_{len(fake.calls)}")
            if replayed:
                self.send_header("Idempotent-Replayed", "true")
            self.end_headers()
            self.wfile.write(content)
        except OSError:  # who asked waits no more
            self.close_connection = True

    do_GET = do_POST = respond  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def fake_stripe() -> Iterator[FakeStripe]:
    """Serve a stand-in until the block ends."""
    fake = FakeStripe()
    handler = type("Handler", (Handler,), {"fake": fake})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        fake.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield fake
        finally:
            fake.go_on.set()
            server.shutdown()
            thread.join()


@contextmanager
def stripe_for(settings: Settings) -> Iterator[FakeStripe]:
    """Serve a stand-in, and let the shop take payments there."""
    with fake_stripe() as fake:
        settings.SHOP_PAYMENT = "stripe"
        settings.SHOP_URL = "https://shop.example.com"
        settings.STRIPE_SECRET_KEY = KEY
        settings.STRIPE_WEBHOOK_SECRETS = [SECRET]
        settings.STRIPE_API_BASE = fake.url
        yield fake


def signed(event: Thing | bytes, *, secret: str = SECRET, age: float = 0) -> tuple[bytes, str]:
    """Return the body of an event and the header that signs it, as of so many seconds ago."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    moment = int(time.time() - age)
    signature = HMAC(secret.encode(), f"{moment}.".encode() + body, sha256).hexdigest()
    return body, f"t={moment},v1={signature}"
