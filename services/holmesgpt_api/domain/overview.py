"""What is told of models, toolsets and health: made from what workers have reported. Pure; nobody is asked for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from libs.auth.principal import DEFAULT_TENANT
from libs.contracts.alerts import Priority
from libs.contracts.base import Contract
from libs.contracts.context import ContextHealth
from libs.contracts.health import ComponentHealth
from libs.contracts.providers import (
    DependenciesHealth,
    LlmHealth,
    ModelInfo,
    ProcessInfo,
    PromptInfo,
    ServiceStatus,
    ToolInfo,
    ToolsetInfo,
)
from services.holmesgpt_api.domain import engine_health
from services.holmesgpt_api.domain.custom import pin
from services.holmesgpt_api.domain.custom.bound import Bound
from services.holmesgpt_api.domain.custom.document import HttpToolset
from services.holmesgpt_api.domain.engine_health import Report
from services.holmesgpt_api.domain.roster import Entry, Standing
from services.holmesgpt_api.domain.toolsets import OFFERED, Toolsets
from services.holmesgpt_api.engine.wordings import PROMPT_VERSION, WORDINGS

FINE = frozenset({"healthy", "not_configured"})
CONTEXT_API, KUBERNETES = "context_api", "kubernetes"
"""Names of health checks."""
CAPABILITIES = (
    *("investigate", "triage", "events", "cancel", "replay", "feedback", "approvals"),
    *("chat", "strategies", "patterns", "toolsets", "models", "reload"),
)
"""What the routes offer, a word for each; which word is which route's is pinned by a test."""


class Tally(Contract):
    """One model as one worker finds it. `stood`, `fell`: conclusions of runs, by whether they stood the check;
    of the worker as a whole, and told with each of its models."""

    name: str
    state: str
    tools: bool | None
    word: str | None
    requests: int
    answered: int
    seconds: float | None
    last_age: float | None
    stood: int = 0
    fell: int = 0

    @classmethod
    def of(cls, one: Standing, stood: int, fell: int) -> Tally:
        return cls(
            name=one.entry.name,
            state=one.state,
            tools=one.tools,
            word=one.word,
            requests=one.requests,
            answered=one.answered,
            seconds=one.seconds,
            last_age=one.last_age,
            stood=stood,
            fell=fell,
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """What was last read of all processes. `at`: on the monotonic clock."""

    at: float
    processes: Sequence[ProcessInfo] = ()
    tallies: Sequence[Tally] = ()
    engines: Sequence[Report] = ()
    held_by_priority: Mapping[Priority, int] = field(default_factory=dict)
    """Investigations that wait for a place at the model."""
    active: int = 0
    """Investigations that have not ended."""
    monitoring: bool = True
    pins: Sequence[pin.Pin] = ()
    """What is known of the tools of servers of toolsets."""

    @property
    def held(self) -> int:
        return sum(self.held_by_priority.values())


def prompts() -> list[PromptInfo]:
    """The versions of our words; which of them there are is this release's, and no setting."""
    return [
        PromptInfo(version=version, description=wants, default=version == PROMPT_VERSION)
        for version, wants in WORDINGS.items()
    ]


def models(entries: Iterable[Entry], tallies: Sequence[Tally]) -> list[ModelInfo]:
    return [_model(one, [each for each in tallies if each.name == one.name]) for one in entries]


def _model(one: Entry, tallies: list[Tally]) -> ModelInfo:
    access = one.access
    latest = min(
        tallies, key=lambda each: float("inf") if each.last_age is None else each.last_age, default=None
    )
    known = [each.tools for each in tallies if each.tools is not None]
    state = latest.state if latest else "unknown"
    return ModelInfo(
        name=one.name,
        provider=one.provider,
        description=_said(one, state, latest),
        available=any(each.state != "left-alone" for each in tallies),
        model=access.model.partition("/")[2],
        state=state,
        reason=latest.word if latest else None,
        rank=one.rank,
        weight=one.weight,
        tools=one.tools if one.tools is not None else (known[0] if known else None),
        context_tokens=access.context_tokens,
        max_tokens=access.output_tokens,
        input_price=access.input_price,
        output_price=access.output_price,
        requests=sum(each.requests for each in tallies),
        availability=availability(tallies),
        response_time=response_time(tallies),
    )


def _said(one: Entry, state: str, latest: Tally | None) -> str:
    place = "asked first" if one.rank == 0 else f"rank {one.rank}"
    if latest is None:
        return f"{place}; no worker tells of it"
    why = f" after {latest.word}" if latest.word and state == "left-alone" else ""
    return f"{place}; {state}{why}"


def availability(tallies: Sequence[Tally]) -> float | None:
    return _share(sum(one.answered for one in tallies), sum(one.requests for one in tallies))


def response_time(tallies: Sequence[Tally]) -> float | None:
    timed = [one for one in tallies if one.seconds is not None and one.answered]
    total = sum(one.answered for one in timed)
    return round(sum((one.seconds or 0.0) * one.answered for one in timed) / total, 3) if total else None


def _accuracy(tallies: Sequence[Tally]) -> float | None:
    first = tallies[0].name if tallies else ""  # the conclusions are their worker's, and told once for each
    mine = [one for one in tallies if one.name == first]
    stood, fell = sum(one.stood for one in mine), sum(one.fell for one in mine)
    return _share(stood, stood + fell)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def toolsets(
    chosen: Toolsets, *, tenant: str = DEFAULT_TENANT, pins: Sequence[pin.Pin] = ()
) -> list[ToolsetInfo]:
    """Those that there are, and of foreign systems those that the tenant may use or would, were they not withdrawn."""
    ours = [
        ToolsetInfo(
            name=one.name,
            description=one.description,
            version=one.version,
            capabilities=list(one.tools),
            enabled=one.name in chosen.enabled,
            default=one.name in chosen.default,
        )
        for one in OFFERED.values()
    ]
    others = [_foreign(one, one.name in chosen.default, pins) for one in chosen.custom if one.seen_by(tenant)]
    return [*ours, *others]


def _foreign(one: Bound, default: bool, pins: Sequence[pin.Pin]) -> ToolsetInfo:
    document = one.document
    held = {
        each.tool: each for each in pins if (each.toolset, each.version) == (document.name, document.version)
    }
    if isinstance(document, HttpToolset):
        tools = [_tool(each.name, each.writes, "ok") for each in document.tools]
    else:
        tools = [
            _tool(
                each.name,
                pin.writes(each, offer) if (offer := _offer(held, each.name)) else each.writes,
                _standing(held.get(each.name)),
                held[each.name].fault if each.name in held else "",
            )
            for each in document.tools
        ]
    standing = {each.status for each in tools}
    status = (
        "withdrawn"
        if one.withdrawn
        else next(word for word in ("ok", "unknown", "withdrawn") if word in standing)
    )
    return ToolsetInfo(
        name=one.name,
        description=document.description,
        version=document.version,
        capabilities=[each.name for each in tools],
        enabled=not one.withdrawn,
        default=default,
        type=document.type,
        origin=str(one.origin),
        status=status,
        reason=one.withdrawn or None,
        for_some_tenants=bool(document.tenants),
        tools=tools,
    )


def _offer(held: Mapping[str, pin.Pin], tool: str) -> pin.Offer | None:
    return held[tool].offer if tool in held else None


def _standing(held: pin.Pin | None) -> pin.Standing:
    if held is None:
        return "unknown"
    return "withdrawn" if held.fault else "ok"


def _tool(name: str, writes: bool, status: str, reason: str = "") -> ToolInfo:
    return ToolInfo(name=name, access="write" if writes else "read", status=status, reason=reason or None)


def llm_health(entries: Sequence[Entry], seen: Seen | None, *, now: datetime, clock: float) -> LlmHealth:
    """`seen` None: nothing has been read yet. `clock`: on the monotonic clock, as `Seen.at`."""
    told = models(entries, seen.tallies if seen else [])
    component = _component(told, seen)
    tallies = seen.tallies if seen else []
    return LlmHealth(
        status=component.status,
        detail=component.detail,
        timestamp=now,
        age_s=round(clock - seen.at, 1) if seen else None,
        response_time=response_time(tallies),
        accuracy=_accuracy(tallies),
        availability=availability(tallies),
        monitoring=seen.monitoring if seen else True,
        models=told,
    )


def _component(told: Sequence[ModelInfo], seen: Seen | None) -> ComponentHealth:
    if not told:
        return ComponentHealth(status="not_configured", detail="no model is configured: triage answers")
    if seen is None:
        return ComponentHealth(status="unknown", detail="no worker has been heard yet")
    engine = engine_health.health(seen.engines, seen.held)
    usable = [one for one in told if one.available and one.tools is not False]
    if engine.status == "unhealthy" or usable:
        return engine
    reasons = ", ".join(f"{one.name}: {one.reason or one.state}" for one in told)
    return ComponentHealth(status="unhealthy", detail=f"no model can be used ({reasons}): triage answers")


def of_cluster(check: str, cluster: str) -> str:
    """The name of a check (`context_api`, `kubernetes`) where it is of one of several clusters."""
    return f"{check}:{cluster}"


def clusters(names: Iterable[str], checks: Mapping[str, ComponentHealth]) -> dict[str, str]:
    """How each of the configured clusters is: as its Context API, or else as that says of it."""
    unknown = ComponentHealth(status="unknown")
    told = {}
    for name in names:
        asked = checks.get(of_cluster(CONTEXT_API, name), unknown).status
        told[name] = checks.get(of_cluster(KUBERNETES, name), unknown).status if asked in FINE else asked
    return told


def cluster(told: ContextHealth | Exception) -> ComponentHealth:
    """The cluster, as the Context API has told of it, or not: this service asks none itself."""
    if isinstance(told, Exception):
        return ComponentHealth(status="unknown", detail=f"the Context API does not tell: {told}"[:300])
    if told.kubernetes_connectivity == "healthy":
        return ComponentHealth(status="healthy")
    return ComponentHealth(
        status="unhealthy", detail=f"the Context API says that the cluster is {told.kubernetes_connectivity}"
    )


def dependencies(
    checks: Mapping[str, ComponentHealth],
    llm: LlmHealth,
    *,
    now: datetime,
    share_fine: float | None,
) -> DependenciesHealth:
    told = {**checks, "llm": ComponentHealth(status=llm.status, detail=llm.detail, age_s=llm.age_s)}
    fine = all(one.status in FINE for one in told.values())
    return DependenciesHealth(
        status="healthy" if fine else "degraded",
        timestamp=now,
        response_time=llm.response_time,
        accuracy=llm.accuracy,
        availability=share_fine,
        monitoring=llm.monitoring,
        dependencies=told,
    )


def status(
    llm: LlmHealth,
    seen: Seen | None,
    *,
    service: str,
    version: str,
    config_version: int,
    now: datetime,
    clusters: Mapping[str, str] | None = None,
) -> ServiceStatus:
    engines = seen.engines if seen else []
    return ServiceStatus(
        service=service,
        version=version,
        status="healthy" if llm.status in FINE else "degraded",
        capabilities=list(CAPABILITIES),
        timestamp=now,
        engine="holmesgpt" if llm.models else "triage",
        running=sum(one.running for one in engines),
        held=seen.held if seen else 0,
        active=seen.active if seen else 0,
        places=sum(one.max_running for one in engines),
        models_available=sum(one.available for one in llm.models),
        config_version=config_version,
        clusters=dict(clusters or {}),
        monitoring=llm.monitoring,
    )
