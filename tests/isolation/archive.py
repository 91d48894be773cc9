"""The alerts service as the Context API asks it: the past of each tenant in each namespace, with a word of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qs

from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from libs.auth import Authenticator
from libs.contracts.alerts import AlertEpisode, AlertPage, EpisodeState, IncidentSummary, Severity
from libs.contracts.causes import Cause, Confidence, FindingSeverity
from libs.contracts.target import Target
from tests.support.canaries import NAMESPACES, TENANTS, WORDS
from tests.support.kube import NOW

ALERT = "HighErrorRate"
EVERY_TENANT = (*TENANTS, "default")


def fingerprint(tenant: str, namespace: str) -> str:
    return hashlib.sha256(f"{tenant}/{namespace}".encode()).hexdigest()[:16]


class Archive:
    """Answers whoever may speak for a tenant with that tenant's past.

    Args:
        careless: tells everybody everything; a campaign that does not notice is worth nothing.
    """

    def __init__(self, authenticator: Authenticator, *, careless: bool = False) -> None:
        self._authenticator, self._careless = authenticator, careless
        self._past = {tenant: list(_episodes(tenant)) for tenant in EVERY_TENANT}
        self._incidents = {one.id: (tenant, one) for tenant in EVERY_TENANT for one in _incidents(tenant)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self._authenticator.authenticate(dict(scope["headers"]), "127.0.0.1")
        tenants = EVERY_TENANT if self._careless else (caller.tenant,)
        prefix = "/api/v1/incidents/"
        if scope["path"].startswith(prefix):
            tenant, found = self._incidents[scope["path"].removeprefix(prefix)]
            body: BaseModel = found
            status = 200 if tenant in tenants else 404
        else:
            query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
            body, status = (
                AlertPage(items=[e for t in tenants for e in self._past[t] if _meant(e, query)]),
                200,
            )
        content = body.model_dump_json() if status == 200 else '{"title": "none", "status": 404, "code": "x"}'
        await Response(content, status, media_type="application/json")(scope, receive, send)


def _meant(one: AlertEpisode, query: dict[str, str]) -> bool:
    return (
        query.get("alertname", one.alertname) == one.alertname
        and query.get("namespace", one.labels["namespace"]) == one.labels["namespace"]
        and query.get("fingerprint", one.fingerprint) == one.fingerprint
    )


def _episodes(tenant: str) -> Iterator[AlertEpisode]:
    for number, name in enumerate(NAMESPACES):
        for days, state in ((0, EpisodeState.firing), (1, EpisodeState.resolved), (2, EpisodeState.resolved)):
            began = NOW - timedelta(days=days, minutes=number)
            word = WORDS.word(name, f"episode {days} days ago", tenant)
            yield AlertEpisode(
                id=word,
                fingerprint=fingerprint(tenant, name),
                alertname=ALERT,
                severity=Severity.warning,
                state=state,
                labels={
                    "namespace": name,
                    "deployment": "web",
                    "mark": WORDS.word(name, "label of an alert", tenant),
                },
                annotations={"summary": WORDS.word(name, "annotation of an alert", tenant)},
                starts_at=began,
                ends_at=began + timedelta(minutes=10) if days else None,
                last_seen=began,
                received_count=1,
                incident_id=f"{tenant}-{name}-{days}" if days else None,
                target=Target(api_version="apps/v1", kind="Deployment", namespace=name, name="web"),
            )


def _incidents(tenant: str) -> Iterator[IncidentSummary]:
    for number, name in enumerate(NAMESPACES):
        other = NAMESPACES[(number + 1) % len(NAMESPACES)]
        # The second one was a neighbour's fault: told to whoever may read there.
        for days, place in ((1, name), (2, other)):
            cause = Cause(
                target=Target(kind="ConfigMap", namespace=place, name="web-conf"),
                reason=WORDS.word(place, f"cause {days} days ago", tenant),
                text=WORDS.word(place, "text of a cause", tenant),
                severity=FindingSeverity.critical,
                confidence=Confidence(value=0.9, basis=[]),
                evidence_ids=[],
            )
            yield IncidentSummary(
                id=f"{tenant}-{name}-{days}", target=None, status="explained", causes=[cause]
            )
