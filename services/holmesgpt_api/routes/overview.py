"""What this service is and works with: models, toolsets, configuration, status; and the models' health.

Every answer is read from what was last seen. No route asks a model, a peer or the database.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel

from libs.auth.guards import require_any_permission, require_permission
from libs.auth.permissions import Permission
from libs.auth.principal import Principal
from libs.contracts.problem import Problem
from libs.contracts.providers import (
    ConfigAnswer,
    DependenciesHealth,
    LlmHealth,
    ModelInfo,
    ModelsAnswer,
    Monitoring,
    ReloadAnswer,
    ServiceStatus,
    ToolsetsAnswer,
)
from libs.web.health import HealthBoard
from services.holmesgpt_api.adapters.steering import OF_ENVIRONMENT, told
from services.holmesgpt_api.domain import overview
from services.holmesgpt_api.steps.oversee import Overseer

router = APIRouter(prefix="/api/v1", tags=["overview"])
older = APIRouter(tags=["overview"])
"""Where the Python server of 2025 had it."""

Looks = Annotated[
    Principal, Depends(require_any_permission(Permission.view_config, Permission.investigate_alerts))
]
Configures = Annotated[Principal, Depends(require_permission(Permission.view_config))]
Watches = Annotated[Principal, Depends(require_permission(Permission.view_health))]
Admin = Annotated[Principal, Depends(require_permission(Permission.admin_system))]

GO_CLIENT = ("Kubernaut-HolmesGPT-Client/", "Go-http-client/")
"""The Go application's User-Agent begins so, or, where it sets none, as its library's; it reads a bare array of models."""

UNWELL: dict[int | str, dict[str, Any]] = {503: {"description": "unhealthy: the same body says why"}}


async def _overseer(request: Request) -> Overseer:
    overseer: Overseer = request.app.state.ports.overseer
    return overseer


Sees = Annotated[Overseer, Depends(_overseer)]


def _llm(overseer: Overseer) -> LlmHealth:
    return overview.llm_health(
        overseer.current.entries, overseer.seen, now=datetime.now(UTC), clock=time.monotonic()
    )


def _models(overseer: Overseer) -> list[ModelInfo]:
    seen = overseer.seen
    return overview.models(overseer.current.entries, seen.tallies if seen else [])


@router.get("/models", response_model=ModelsAnswer)
async def list_models(
    caller: Looks, overseer: Sees, user_agent: Annotated[str, Header(include_in_schema=False)] = ""
) -> Response:
    """The configured models, and the versions of the words that they are asked under.

    An array of the models alone, without the object around it, for the Kubernaut Go application.
    """
    body = ModelsAnswer(models=_models(overseer), prompts=overview.prompts())
    if user_agent.startswith(GO_CLIENT):
        array = "[" + ",".join(one.model_dump_json() for one in body.models) + "]"
        return Response(array, media_type="application/json", headers={"Vary": "User-Agent"})
    return _json(body, headers={"Vary": "User-Agent"})


@router.get("/toolsets")
async def list_toolsets(caller: Looks, overseer: Sees) -> ToolsetsAnswer:
    """What a request's `toolsets` can name, and which tools each of them gives to a model.

    Those of foreign systems say where they are, what each tool may do, and why one is withdrawn; a tenant does not see
    those of others.
    """
    pins = overseer.seen.pins if overseer.seen else ()
    told = overview.toolsets(overseer.current.toolsets, tenant=caller.tenant, pins=pins)
    return ToolsetsAnswer(toolsets=told)


@router.get("/config")
async def show_config(caller: Configures, overseer: Sees, request: Request) -> ConfigAnswer:
    """What this process works with, and whether the others work with the same."""
    current, seen = overseer.current, overseer.seen
    first = current.entries[0] if current.entries else None
    return ConfigAnswer(
        llm_provider=first.provider if first else None,
        llm_model=first.access.model if first else None,
        available_toolsets=list(current.toolsets.available(caller.tenant)),
        default_toolsets=list(current.toolsets.default),
        max_concurrent_investigations=request.app.state.ports.max_concurrent,
        models=_models(overseer),
        prompts=overview.prompts(),
        budgets=told(current.limits),
        clusters=sorted(request.app.state.ports.clusters.named),
        version=current.version,
        digest=current.digest,
        source="environment" if current.digest == OF_ENVIRONMENT else "file",
        not_honoured=current.not_honoured,
        processes=list(seen.processes) if seen else [],
    )


@router.post("/config/reload", responses={422: {"model": Problem, "description": "Refused; nothing changed"}})
async def reload_config(caller: Admin, overseer: Sees) -> ReloadAnswer:
    """Read configuration file and keys again. All processes take it up within seconds; a bad file changes nothing."""
    current, differs, restart = await overseer.reload(caller.name)
    return ReloadAnswer(
        version=current.version,
        digest=current.digest,
        changed=differs,
        needs_restart=restart,
        not_honoured=current.not_honoured,
    )


@router.get("/status")
@older.get("/status", name="status_alias")
async def show_status(caller: Watches, overseer: Sees, request: Request) -> ServiceStatus:
    """What this service can do and how busy it is."""
    ports, board = request.app.state.ports, request.app.state.board
    info = ports.info
    return overview.status(
        _llm(overseer),
        overseer.seen,
        service=info.name,
        version=info.version,
        config_version=overseer.current.version,
        now=datetime.now(UTC),
        clusters=overview.clusters(ports.clusters.named, board.health().checks),
    )


@router.get("/health/llm", response_model=LlmHealth, responses=UNWELL)
async def llm_health(caller: Watches, overseer: Sees) -> Response:
    """How the models are. 503 when triage has to stand in for them."""
    return _by_status(_llm(overseer), unwell=("unhealthy",))


@router.get("/health/llm/liveness", response_model=LlmHealth, responses=UNWELL)
async def llm_liveness(caller: Watches, overseer: Sees) -> Response:
    """Whether anything of the models' side lives: an engine, or none because none is configured."""
    return _by_status(_llm(overseer), unwell=("unhealthy",))


@router.get("/health/llm/readiness", response_model=LlmHealth, responses=UNWELL)
async def llm_readiness(caller: Watches, overseer: Sees) -> Response:
    """Whether an investigation would be given to a model now. 503 without one, and before one is known to be ready."""
    return _by_status(_llm(overseer), unwell=("unhealthy", "unknown", "not_configured"))


@router.get("/health/dependencies", response_model=DependenciesHealth, responses=UNWELL)
async def dependencies_health(caller: Watches, overseer: Sees, request: Request) -> Response:
    """What this service depends on, as last checked. 503 when it could take nothing."""
    board: HealthBoard = request.app.state.board
    body = overview.dependencies(
        board.health().checks, _llm(overseer), now=datetime.now(UTC), share_fine=overseer.share_fine
    )
    return _json(body, 200 if board.ready else 503)


@router.post("/health/monitoring/start")
async def start_monitoring(caller: Admin, overseer: Sees) -> Monitoring:
    """Have models probed between runs, by all workers. It is so from the first start on."""
    return await _monitor(overseer, caller, wanted=True)


@router.post("/health/monitoring/stop")
async def stop_monitoring(caller: Admin, overseer: Sees) -> Monitoring:
    """Have none probed: what runs find out is then all that is known."""
    return await _monitor(overseer, caller, wanted=False)


async def _monitor(overseer: Overseer, caller: Principal, *, wanted: bool) -> Monitoring:
    await overseer.monitor(wanted, caller.name)
    said = "models are probed" if wanted else "models are not probed any more"
    known = _llm(overseer)
    return Monitoring(
        monitoring=wanted,
        message=said,
        timestamp=datetime.now(UTC),
        response_time=known.response_time,
        accuracy=known.accuracy,
        availability=known.availability,
    )


def _by_status(body: LlmHealth, *, unwell: tuple[str, ...]) -> Response:
    return _json(body, 503 if body.status in unwell else 200)


def _json(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body.model_dump_json(), status, headers, "application/json")
