"""The routes older callers know, with their names and shapes; each is answered by what the newer routes answer by.

`docs/context-api.md` says who calls what, and where an answer is deliberately not what an earlier server gave.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Response
from pydantic import AfterValidator

from libs.contracts.bundle import FEWEST_TOKENS, InvestigationType
from libs.contracts.context import KubernetesContext
from libs.contracts.older_context import (
    ActionHistoryContext,
    AlertContext,
    Discovery,
    InvestigationContext,
    MetricsContext,
    PatternContext,
    PatternQuestion,
    ServiceDiscovery,
    ToolsetRefresh,
    Toolsets,
    ToolsetStats,
)
from libs.web.deadline import TimeLeft
from services.context_api.domain.discover import Wish
from services.context_api.domain.durations import parse_duration
from services.context_api.domain.selector import parse_selector
from services.context_api.domain.tiers import Tier
from services.context_api.domain.toolsets import statistics
from services.context_api.routes.context import VERSION
from services.context_api.routes.inputs import (
    EACH_ONCE,
    RESPONSES,
    AtDesk,
    AtOlder,
    Caller,
    Labels,
    OwnNamespace,
    Resource,
)
from services.context_api.routes.succession import OlderRoute
from services.context_api.steps.ask import as_json

router = APIRouter(prefix="/api/v1", tags=["older callers"], route_class=OlderRoute, dependencies=[EACH_ONCE])

Word = Annotated[str, Path(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/-]*$")]
AlertType = Annotated[str, Query(alias="alertType", max_length=256)]
InNamespace = Annotated[
    str | None, Query(alias="namespace", max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
]
Severity = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


def _span(text: str) -> str:
    parse_duration(text)  # its ValueError becomes a 422 that names this parameter
    return text


TimeRange = Annotated[
    str, Query(alias="timeRange", max_length=32, description="e.g. `5m`, `1h`"), AfterValidator(_span)
]


@router.get("/context/metrics/{namespace}/{resource}", response_model=MetricsContext, responses=RESPONSES)
async def metrics(
    namespace: OwnNamespace,
    resource: Resource,
    caller: Caller,
    older: AtOlder,
    left: TimeLeft,
    time_range: TimeRange = "5m",
) -> Response:
    """Series about one resource, or about all of a kind, over the last minutes."""
    return _json(await older.metrics(namespace, resource, time_range, caller, left))


@router.get("/context/action-history/{alert_type}", responses=RESPONSES)
async def action_history(
    alert_type: Word, caller: Caller, older: AtOlder, left: TimeLeft, namespace: InNamespace = None
) -> ActionHistoryContext:
    """Earlier episodes of an alert, how they ended, and which cause was found."""
    return await older.action_history(alert_type, namespace, caller, left)


@router.get("/context/action-history", responses=RESPONSES)
async def action_history_by_query(
    caller: Caller,
    older: AtOlder,
    left: TimeLeft,
    alert_type: Annotated[str, Query(alias="alertType", min_length=1, max_length=256)],
    namespace: InNamespace = None,
) -> ActionHistoryContext:
    """The same, as a toolset asks for it."""
    return await older.action_history(alert_type, namespace, caller, left)


@router.get("/alerts/history", responses=RESPONSES)
async def alerts_history(
    caller: Caller,
    older: AtOlder,
    left: TimeLeft,
    alert: Annotated[str, Query(min_length=1, max_length=256)],
    namespace: InNamespace = None,
) -> ActionHistoryContext:
    """The same, as the earlier Python client asks for it."""
    return await older.action_history(alert, namespace, caller, left)


@router.get("/context/patterns/{signature}", responses=RESPONSES)
async def patterns(
    signature: Word,
    caller: Caller,
    older: AtOlder,
    left: TimeLeft,
    namespace: InNamespace = None,
    alert_type: AlertType = "",
) -> PatternContext:
    """How often a cause (`Reason`, an object's name, or `Reason of Kind/namespace/name`) came back under an alert."""
    return await older.patterns(signature, alert_type, namespace, caller, left)


@router.get("/context/discover", responses=RESPONSES, response_model_exclude_none=True)
async def discover(
    caller: Caller,
    older: AtOlder,
    alert_type: AlertType = "",
    severity: Annotated[str, Query(max_length=64)] = "",
    investigation_type: Annotated[InvestigationType | None, Query(alias="investigationType")] = None,
    tier: Annotated[Tier | None, Query(alias="complexityTier")] = None,
    optimize: Annotated[
        str, Query(max_length=32, description="`graduated`: leave out what the tier allows")
    ] = "",
    reduction: Annotated[float | None, Query(alias="reductionLevel", ge=0, le=1)] = None,
    most: Annotated[int | None, Query(alias="maxTypes", ge=1, le=5)] = None,
    score: Annotated[bool, Query(alias="scoreSufficiency")] = False,
    adjust: Annotated[bool, Query(alias="autoAdjust")] = False,
    worse: Annotated[
        bool,
        Query(alias="degradationDetected", description="with `autoAdjust`: a step more than else, this once"),
    ] = False,
) -> Discovery:
    """Which kinds of context there are for an alert, what each costs and how much it is worth."""
    graduated = tier if optimize == "graduated" or reduction is None else None
    wish = Wish(alert_type, graduated, reduction, most, investigation_type)
    return await older.discover(wish, severity, caller, score=score, worse=adjust and worse)


@router.get("/context/alert/{severity}/{alert_name}", response_model=AlertContext, responses=RESPONSES)
async def alert(
    severity: Severity,
    alert_name: Word,
    caller: Caller,
    older: AtOlder,
    left: TimeLeft,
    namespace: InNamespace = None,
    description: Annotated[str, Query(max_length=4096)] = "",
) -> Response:
    """Context for an alert of which only name, severity and namespace are known, as much as its tier calls for."""
    return _json(as_json(await older.alert(severity, alert_name, namespace, description, caller, left)))


@router.get(
    "/context/investigation/{investigation_type}", response_model=InvestigationContext, responses=RESPONSES
)
async def investigation(
    investigation_type: InvestigationType,
    caller: Caller,
    older: AtOlder,
    left: TimeLeft,
    namespace: Annotated[str, Query(max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")],
    max_tokens: Annotated[int, Query(ge=FEWEST_TOKENS, le=32_000)] = 4_000,
) -> Response:
    """Context of a namespace for one type of investigation, and whether it suffices."""
    return _json(as_json(await older.investigation(investigation_type, namespace, max_tokens, caller, left)))


@router.get("/namespace/{namespace}/resources", response_model=KubernetesContext, responses=RESPONSES)
async def namespace_resources(
    namespace: OwnNamespace,
    caller: Caller,
    desk: AtDesk,
    left: TimeLeft,
    resource: Annotated[str, Query(max_length=253, pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]*$")] = "pods",
    labels: Labels = "",
) -> Response:
    """Objects of a namespace, as the earlier Python client asks for them."""
    return _json(await desk.listing(namespace, resource, parse_selector(labels), caller, left))


@router.get("/namespace/{namespace}/context", response_model=InvestigationContext, responses=RESPONSES)
async def namespace_context(
    namespace: OwnNamespace, caller: Caller, older: AtOlder, left: TimeLeft
) -> Response:
    """What matters in a namespace, as the earlier Python client asks for it."""
    return _json(as_json(await older.investigation(InvestigationType.basic, namespace, 4_000, caller, left)))


@router.get("/toolsets")
async def list_toolsets(_caller: Caller, older: AtOlder) -> Toolsets:
    """The toolsets this service serves, as the earlier Python client polls them."""
    rows = older.toolsets(VERSION)
    return Toolsets(toolsets=rows, count=len(rows), timestamp=datetime.now(UTC))


@router.get("/toolsets/stats")
async def toolset_stats(_caller: Caller, older: AtOlder) -> ToolsetStats:
    """How many toolsets there are, by type."""
    return ToolsetStats(stats=statistics(older.toolsets(VERSION)), timestamp=datetime.now(UTC))


@router.post("/toolsets/refresh")
async def refresh_toolsets(_caller: Caller, older: AtOlder) -> ToolsetRefresh:
    """Nothing is kept that would have to be looked for again; says how many there are."""
    return ToolsetRefresh(status="refreshed", count=len(older.toolsets(VERSION)), timestamp=datetime.now(UTC))


@router.get("/service-discovery")
async def service_discovery(_caller: Caller, older: AtOlder) -> ServiceDiscovery:
    """How the evidence source stands, and what is served."""
    return older.service_discovery(VERSION)


@router.post("/patterns/analyze", responses=RESPONSES)
async def analyze_patterns(
    question: PatternQuestion, caller: Caller, older: AtOlder, left: TimeLeft
) -> PatternContext:
    """Patterns of an alert, as the earlier Python client asks for them."""
    return await older.patterns(question.signature, question.alert_name, question.namespace, caller, left)


@router.get("/health/{part:path}", include_in_schema=False)
@router.post("/health/{part:path}", include_in_schema=False)
async def models_health(part: str) -> None:
    """An earlier server had handlers for these and never registered them; who asks is told where it is answered."""
    raise HTTPException(
        404, "whether models answer is told by the HolmesGPT API (port 8090), GET /api/v1/health"
    )


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
