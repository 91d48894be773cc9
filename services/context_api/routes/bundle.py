"""`/api/v1/context/bundle` and `/topology`: ranked evidence within a reader's budget, and the graph it hangs on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, ValidationError

from libs.contracts.bundle import (
    FEWEST_TOKENS,
    MOST_TOKENS,
    Bundle,
    BundleRequest,
    ContextSource,
    IncidentRequest,
    InvestigationType,
)
from libs.contracts.context import Topology
from libs.contracts.target import Target
from libs.logs import get_logger
from libs.web.deadline import TimeLeft
from libs.web.problems import render
from libs.web.sse import EventStream, event
from services.context_api.domain.errors import ContextError
from services.context_api.domain.topology import FARTHEST
from services.context_api.routes.inputs import EACH_ONCE, RESPONSES, Caller, ClusterName, Object, Onset
from services.context_api.routes.problems import PROBLEMS
from services.context_api.steps.bundles import Bundles
from services.context_api.steps.freeze import Freezer

_log = get_logger("bundle")

router = APIRouter(prefix="/api/v1/context", tags=["context"], dependencies=[EACH_ONCE])

AT_ONCE = timedelta(milliseconds=300)
"""A stream's answer waits so long for a refusal that can still be told by its status."""

PROGRESS = timedelta(seconds=1)
"""Between two signs of life of a stream; proxies end connections that say nothing for long."""

SECTIONS = ("history", "conflicts", "sources", "adequacy", "budget", "left_out", "not_looked_at")


async def _bundles(request: Request) -> Bundles:
    bundles: Bundles = request.app.state.ports.bundles
    return bundles


AtBundles = Annotated[Bundles, Depends(_bundles)]


async def _freezer(request: Request) -> Freezer:
    freezer: Freezer = request.app.state.ports.freezer
    return freezer


AtFreezer = Annotated[Freezer, Depends(_freezer)]


@router.post("/bundle", response_model=Bundle, response_model_exclude_none=True, responses=RESPONSES)
async def bundle(request: BundleRequest, caller: Caller, bundles: AtBundles, left: TimeLeft) -> Response:
    """Everything that matters to one incident, most relevant first, within a budget of tokens."""
    return _json(await bundles.bundle(request, caller, left))


def _named(text: str) -> str:
    # A ValueError becomes a 422 that names this parameter; pydantic's own words would repeat what was sent.
    try:
        Target.parse(text)
    except ValidationError as error:
        parts = " and ".join(str(fault["loc"][0]) for fault in error.errors())
        raise ValueError(f"its {parts} cannot be one; want KIND/NAMESPACE/NAME") from None
    return text


async def _request(
    target: Annotated[
        str,
        Query(max_length=400, description="`KIND/NAMESPACE/NAME`, `_cluster` for no namespace"),
        AfterValidator(_named),
    ],
    cluster: ClusterName = None,
    onset: Onset = None,
    investigation_type: InvestigationType = InvestigationType.root_cause,
    max_tokens: Annotated[int, Query(ge=FEWEST_TOKENS, le=MOST_TOKENS)] = 4_000,
    sources: Annotated[list[ContextSource] | None, Query(max_length=len(ContextSource))] = None,
) -> BundleRequest:
    return BundleRequest(
        target=Target.parse(target),
        cluster=cluster,
        onset=onset,
        investigation_type=investigation_type,
        max_tokens=max_tokens,
        sources=sources,
    )


@router.get(
    "/bundle/stream",
    response_class=EventStream,
    responses={**RESPONSES, 200: {"content": {"text/event-stream": {}}, "description": "Server-sent events"}},
)
async def stream(
    request: Annotated[BundleRequest, Depends(_request)], caller: Caller, bundles: AtBundles, left: TimeLeft
) -> EventStream:
    """The same bundle as server-sent events: `progress` while it is made, then each section, `items` one source at a
    time, and `end`; or `error`."""
    task = asyncio.create_task(bundles.bundle(request, caller, left))
    done, _ = await asyncio.wait({task}, timeout=AT_ONCE.total_seconds())
    if done:
        await task  # a refusal is told by its status
    return EventStream(_events(task))


async def _events(task: asyncio.Task[bytes]) -> AsyncIterator[bytes]:
    waited = AT_ONCE
    try:
        while not task.done():
            yield _event("progress", {"stage": "gathering", "seconds": round(waited.total_seconds(), 1)})
            await asyncio.wait({task}, timeout=PROGRESS.total_seconds())
            waited += PROGRESS
        try:
            made = orjson.loads(await task)
        except ContextError as error:
            spec = PROBLEMS[type(error)]
            yield event("error", render(spec.status, spec.code, title=spec.title, detail=str(error)))
            return
        except Exception:
            _log.exception("bundle failed")
            yield event(
                "error", render(500, "internal", detail="the bundle could not be made; the log says why")
            )
            return
        yield _event("causes", made["causes"])
        by_source: dict[str, list[object]] = {}
        for item in made["items"]:
            by_source.setdefault(item["source"], []).append(item)
        for source, items in by_source.items():
            yield _event("items", {"source": source, "items": items})
        for name in SECTIONS:
            if name in made:
                yield _event(name, made[name])
        rest = {key: value for key, value in made.items() if key not in (*SECTIONS, "items", "causes")}
        yield _event("end", rest)
    finally:
        task.cancel()


def _event(name: str, data: object) -> bytes:
    return event(name, orjson.dumps(data))


@router.post(
    "/snapshots",
    response_class=Response,
    responses={**RESPONSES, 200: {"content": {"application/gzip": {}}, "description": "A recorded cluster"}},
)
async def snapshots(request: IncidentRequest, caller: Caller, freezer: AtFreezer, left: TimeLeft) -> Response:
    """The evidence of one incident to keep: a recorded cluster as a tar archive. `kubernaut triage`, `kubernaut
    serve-recording` and RECORDED_CLUSTER read it as it is; secret values are taken out."""
    name, archive = await freezer.freeze(request, caller, left)
    return Response(
        archive,
        media_type="application/gzip",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@router.get("/topology/{namespace}/{kind}/{name}", response_model=Topology, responses=RESPONSES)
async def topology(
    about: Object,
    caller: Caller,
    bundles: AtBundles,
    left: TimeLeft,
    depth: Annotated[int, Query(ge=1, le=FARTHEST, description="steps away from the object")] = 3,
) -> Response:
    """What an object needs and what it is made of, as a graph, with what is wrong with each."""
    return _json(await bundles.topology(about, depth, caller, left))


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
