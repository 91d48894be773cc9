"""`/api/v1/context`: whose fault it is, what else is wrong, which object is meant, what there is, what proves it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from libs.auth.permissions import Role
from libs.contracts.base import PlausibleTime
from libs.contracts.causes import CausesAnswer, FindingsAnswer
from libs.contracts.context import ContextHealth, KubernetesContext, Resolution, ResolveRequest
from libs.contracts.evidence import EvidenceItem, EvidenceKind, EvidencePage, LogAnswer
from libs.web.deadline import TimeLeft
from services.context_api.domain.ports import Connectivity
from services.context_api.domain.selector import parse_selector
from services.context_api.routes.inputs import (
    EACH_ONCE,
    RESPONSES,
    AtDesk,
    Caller,
    Cursor,
    EvidenceRef,
    Labels,
    Namespace,
    Object,
    OfKind,
    Onset,
    OwnNamespace,
    PageSize,
    Pod,
    Resource,
    WantedLines,
    scope,
)
from services.context_api.steps.ahead import Ahead

VERSION = "1.0.0"

router = APIRouter(prefix="/api/v1/context", tags=["context"], dependencies=[EACH_ONCE])


async def _ahead(request: Request) -> Ahead:
    ahead: Ahead = request.app.state.ports.ahead
    return ahead


@router.post("/resolve", responses=RESPONSES)
async def resolve(
    request: ResolveRequest,
    caller: Caller,
    desk: AtDesk,
    left: TimeLeft,
    ahead: Annotated[Ahead, Depends(_ahead)],
    onset: Annotated[
        PlausibleTime | None,
        Query(description="when the alert began; of a service that says so, the causes are gathered ahead"),
    ] = None,
) -> Resolution:
    """Which object do these alert labels speak of, and who owns it?"""
    found = await desk.resolve(request.labels, request.cluster, caller, left)
    if onset is not None and Role.service in caller.roles:
        ahead.gather(found, onset, caller)
    return found


@router.get("/causes/{namespace}/{kind}/{name}", response_model=CausesAnswer, responses=RESPONSES)
async def causes(
    about: Object, caller: Caller, desk: AtDesk, left: TimeLeft, onset: Onset = None
) -> Response:
    """The ranked causes of what is wrong with an object, each with its evidence and what can be done."""
    return _json(await desk.causes(about, onset, caller, left))


@router.get("/findings/{namespace}/{kind}/{name}", response_model=FindingsAnswer, responses=RESPONSES)
async def findings(about: Object, caller: Caller, desk: AtDesk, left: TimeLeft) -> Response:
    """Everything wrong with an object and what it needs; unranked, worst first."""
    return _json(await desk.findings(about, caller, left))


@router.get("/evidence/{evidence_id}", response_model=EvidenceItem, responses=RESPONSES)
async def one_fact(evidence_id: EvidenceRef, caller: Caller, desk: AtDesk, left: TimeLeft) -> Response:
    """The fact an answer cites; 404 also for one in a namespace the caller may not read."""
    return _json(await desk.one(evidence_id, caller, left))


@router.get("/evidence/{namespace}/{kind}/{name}", response_model=EvidencePage, responses=RESPONSES)
async def facts(
    about: Object,
    caller: Caller,
    desk: AtDesk,
    left: TimeLeft,
    of_kind: Annotated[OfKind, Query(alias="kind")] = None,
    limit: PageSize = 50,
    cursor: Cursor = None,
) -> Response:
    """Facts about an object and what it is connected to, under the ids that causes cite."""
    return _json(await desk.evidence(about, of_kind, limit, cursor, caller, left))


@router.get("/logs/{namespace}/{pod}", response_model=LogAnswer, responses=RESPONSES)
async def log_lines(
    namespace: OwnNamespace, pod: Pod, wanted: WantedLines, caller: Caller, desk: AtDesk, left: TimeLeft
) -> Response:
    """The last lines of a container's log, without secrets, under an id that cites them."""
    return _json(await desk.logs(namespace, pod, wanted, caller, left))


@router.get("/kubernetes/{namespace}/{resource}", response_model=KubernetesContext, responses=RESPONSES)
async def kubernetes(
    namespace: Namespace,
    resource: Resource,
    caller: Caller,
    desk: AtDesk,
    left: TimeLeft,
    labels: Labels = "",
) -> Response:
    """The objects of one resource in one namespace."""
    return _json(await desk.listing(scope(namespace), resource, parse_selector(labels), caller, left))


@router.get("/health", responses={503: {"model": ContextHealth, "description": "No evidence to answer from"}})
async def health(caller: Caller, desk: AtDesk, response: Response) -> ContextHealth:
    """Whether there is evidence to answer from, and how often the cache had the answer."""
    state = desk.source.state
    healthy = state.connectivity is Connectivity.healthy
    response.status_code = 200 if healthy or state.serves else 503
    return ContextHealth(
        status="healthy" if healthy else "unhealthy",
        timestamp=datetime.now(UTC),
        version=VERSION,
        cache_hit_rate=round(desk.answers.rate.value, 4),
        context_types=len(EvidenceKind),
        kubernetes_connectivity=state.connectivity.value,
    )


def _json(body: bytes) -> Response:
    # Found once, written once by pydantic, and given to everybody who asks the same.
    return Response(body, media_type="application/json")
