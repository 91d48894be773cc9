"""Every call of a client meets a route that the service documents, with the answer that it documents."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import pytest

from libs.clients import AlertsClient, ContextClient, HolmesClient, NotificationsClient
from libs.clients.peer import Peer
from libs.contracts.bundle import BundleRequest
from libs.contracts.evidence import EvidenceKind
from libs.contracts.investigations import InvestigationRequest
from libs.contracts.notifications import NotificationRequest
from libs.contracts.target import Target
from tools.openapi import document
from tools.services import services

pytestmark = pytest.mark.requirement("API-BR-DOC-013", "INT-BR-TEST-008", "HAPI-011", "HAPI-166")

SOON: dict[str, Any] = {"tenant": "default", "deadline": timedelta(seconds=1)}
WEB = Target(api_version="apps/v1", kind="Deployment", namespace="shop", name="web")
ASKED = InvestigationRequest(alert_name="PodCrash")
TOLD = NotificationRequest(subject="s", body="b")

Call = Callable[[Any], Awaitable[object]]
CALLS: list[tuple[str, type[Peer], str, Call]] = [
    ("alerts", AlertsClient, "send_webhook", lambda c: c.send_webhook(b"{}", **SOON)),
    ("alerts", AlertsClient, "list", lambda c: c.list(cursor="x", **SOON)),
    ("alerts", AlertsClient, "get", lambda c: c.get("e-1", **SOON)),
    ("alerts", AlertsClient, "incident", lambda c: c.incident("i-1", **SOON)),
    ("context_api", ContextClient, "bundle", lambda c: c.bundle(BundleRequest(target=WEB), **SOON)),
    ("context_api", ContextClient, "topology", lambda c: c.topology(WEB, depth=2, **SOON)),
    ("context_api", ContextClient, "resolve", lambda c: c.resolve({"pod": "web"}, **SOON)),
    ("context_api", ContextClient, "causes", lambda c: c.causes(WEB, onset=datetime.now(UTC), **SOON)),
    ("context_api", ContextClient, "findings", lambda c: c.findings(WEB, **SOON)),
    ("context_api", ContextClient, "kubernetes", lambda c: c.kubernetes("shop", "pods", labels={"a": "b"}, **SOON)),
    ("context_api", ContextClient, "evidence", lambda c: c.evidence(WEB, kind=EvidenceKind.log, limit=5, cursor="ev-1", **SOON)),
    ("context_api", ContextClient, "evidence_item", lambda c: c.evidence_item("ev-1", **SOON)),
    (
        "context_api",
        ContextClient,
        "logs",
        lambda c: c.logs("shop", "web-0", container="a", previous=True, tail=5, contains="x", clustered=True, **SOON),
    ),
    ("context_api", ContextClient, "health", lambda c: c.health(**SOON)),
    ("holmesgpt_api", HolmesClient, "investigate", lambda c: c.investigate(ASKED, **SOON)),
    (
        "holmesgpt_api",
        HolmesClient,
        "investigate_async",
        lambda c: c.investigate_async(ASKED, idempotency_key="k", **SOON),
    ),
    ("holmesgpt_api", HolmesClient, "get", lambda c: c.get("inv-1", **SOON)),
    ("holmesgpt_api", HolmesClient, "list", lambda c: c.list(cursor="x", limit=5, **SOON)),
    ("notifications", NotificationsClient, "send", lambda c: c.send(TOLD, idempotency_key="k", **SOON)),
    ("notifications", NotificationsClient, "get", lambda c: c.get("n-1", **SOON)),
]  # fmt: skip


class Asked(Exception):
    def __init__(self, method: str, path: str, details: dict[str, Any]) -> None:
        super().__init__(path)
        self.method, self.path, self.details = method, path, details


async def asked_by(client: type[Peer], call: Call) -> Asked:
    """What a client would ask, without asking."""

    class Stopped(client):  # type: ignore[valid-type, misc]
        async def call(self, method: str, path: str, **details: Any) -> NoReturn:
            raise Asked(method, path, details)

    async with Stopped("http://peer:1") as peer:
        with pytest.raises(Asked) as stopped:
            await call(peer)
    return stopped.value


def operation_for(service: str, asked: Asked) -> dict[str, Any]:
    """The documented operation; a literal path wins over a template, as in the router."""
    paths = document(service)["paths"]
    fitting = [
        template for template in paths if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), asked.path)
    ]
    assert fitting, f"{asked.path} is no route of {service}"
    operation = paths[min(fitting, key=lambda template: template.count("{"))].get(asked.method.lower())
    assert operation is not None, f"{asked.method} {asked.path} is no route of {service}"
    return dict(operation)


@pytest.mark.parametrize(("service", "client", "name", "call"), CALLS, ids=[f"{c[0]}.{c[2]}" for c in CALLS])
async def test_a_call_meets_a_documented_route_with_its_answer(service, client, name, call):
    asked = await asked_by(client, call)

    operation = operation_for(service, asked)

    good = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    schemas = [answer["content"]["application/json"]["schema"].get("$ref", "") for answer in good]
    assert f"#/components/schemas/{asked.details['answer'].__name__}" in schemas


@pytest.mark.parametrize(("service", "client", "name", "call"), CALLS, ids=[f"{c[0]}.{c[2]}" for c in CALLS])
async def test_a_call_sends_only_what_the_route_documents(service, client, name, call):
    asked = await asked_by(client, call)

    documented = {
        (parameter["in"], parameter["name"].lower())
        for parameter in operation_for(service, asked).get("parameters", [])
    }

    sent = {("query", key.lower()) for key in asked.details.get("query") or {}}
    sent |= {("header", key.lower()) for key in asked.details.get("headers") or {}}
    assert sent - documented == set()


def test_every_call_of_every_client_is_looked_at():
    looked_at = {(client.__name__, name) for _, client, name, _ in CALLS}
    public = {
        (client.__name__, name)
        for client in (AlertsClient, ContextClient, HolmesClient, NotificationsClient)
        for name in vars(client)
        if not name.startswith("_") and callable(getattr(client, name))
    }

    assert public == looked_at
    assert {service for service, *_ in CALLS} <= set(services())
