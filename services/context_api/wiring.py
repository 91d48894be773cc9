"""Builds what the routes work with, and closes it again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from libs.auth import KeyRing, TokenMinter
from libs.clients import AlertsClient
from libs.contracts.health import ComponentHealth
from libs.metrics import Metrics
from libs.web.info import Check, Checks
from libs.web.pages import Pages
from services.context_api.adapters.history import AlertHistory
from services.context_api.adapters.mcp_server import McpServer
from services.context_api.adapters.meters import LaneMeters, TuningMeters
from services.context_api.adapters.mutes import read_mutes
from services.context_api.adapters.recorded import NoSource, RecordedCluster
from services.context_api.adapters.recording.pack import packed
from services.context_api.caches import Keeping, keeping
from services.context_api.domain.errors import NoEvidence
from services.context_api.domain.ports import Connectivity, EvidenceSource
from services.context_api.settings import Settings
from services.context_api.steps.ahead import OUTCOMES as AHEAD
from services.context_api.steps.ahead import Ahead
from services.context_api.steps.answers import OUTCOMES, Answers
from services.context_api.steps.ask import Desk
from services.context_api.steps.bundles import Bundles
from services.context_api.steps.foresight import Foresight
from services.context_api.steps.freeze import Freezer
from services.context_api.steps.older import Older
from services.context_api.steps.recall import Recall
from services.context_api.steps.toolbox import CALLED, ENDED, Toolbox
from services.context_api.steps.tuning import Tunings
from services.context_api.steps.turns import Turns

if TYPE_CHECKING:
    from services.context_api.adapters.live import LiveCluster
    from services.context_api.adapters.tuning_record import TuningRecord

SERVICE = "context-api"

Ring = Callable[[], KeyRing | None]

NOTHING_SET = (
    "no evidence source is set: set RECORDED_CLUSTER to a must-gather or a folder of Kubernetes objects, or "
    "EVIDENCE_KUBECONFIG or EVIDENCE_IN_CLUSTER for a live cluster"
)


@dataclass(frozen=True)
class Ports:
    """What the routes and the health checks use."""

    desk: Desk
    bundles: Bundles
    freezer: Freezer
    older: Older
    toolbox: Toolbox
    mcp: McpServer
    tool_calls: Callable[[str, str], None]
    """Counts a tool's call by tool and outcome."""
    public_url: str | None
    tunings: Tunings
    ahead: Ahead
    keeping: Keeping
    """The caches under the answers, and what is known of them."""

    @property
    def pages(self) -> Pages:
        return self.keeping.pages


@asynccontextmanager
async def serving(settings: Settings, ring: Ring, metrics: Metrics, *, version: str) -> AsyncIterator[Ports]:
    """Everything, until the service stops. Answers at once; the recording or the cluster is read meanwhile."""
    total = metrics.counter(
        "context_api_answers_total", "Answers, by where they came from.", {"outcome": OUTCOMES}
    )
    calls = metrics.counter(
        "context_api_tool_calls_total",
        "Calls of tools over MCP, by how they ended.",
        {"tool": CALLED, "outcome": ENDED},
    )
    mcp = McpServer(version)
    alerts = AlertsClient(settings.alerts_url, token=TokenMinter(ring, service=SERVICE))
    async with (
        _source(settings, metrics) as source,
        keeping(settings, ring, metrics, lambda: source.state.identity) as kept,
        _tunings(settings, metrics) as tunings,
        alerts,
        AsyncExitStack() as stack,
    ):
        foreseen = metrics.counter(
            "context_api_ahead_total",
            "Causes gathered before anybody asked: worked out, asked for afterwards, or not, and why not.",
            {"outcome": AHEAD},
        )
        foresight = Foresight(lambda outcome: foreseen.inc(outcome=outcome))
        turns = Turns(most_waiting=settings.most_waiting, meters=LaneMeters(metrics), foresight=foresight)
        # Lanes bound what waits; this bounds what is being written into a slow cache besides.
        answers = Answers(
            kept.answers,
            most_waiting=2 * turns.room,
            observe=lambda outcome: total.inc(outcome=outcome),
            turns=turns,
        )
        kept.rate = answers.rate
        try:
            desk = Desk(
                source,
                answers,
                cluster=settings.evidence_cluster,
                limit=settings.answer_timeout,
                ttl=settings.answer_ttl,
                mutes=read_mutes(settings.finding_mutes) if settings.finding_mutes else (),
                foresight=foresight,
            )
            ahead = Ahead(desk.causes_of, turns, lambda outcome: foreseen.inc(outcome=outcome))
            stack.push_async_callback(ahead.close)
            history = AlertHistory(alerts, deadline=settings.history_timeout)
            bundles = Bundles(desk, history)
            yield Ports(
                desk,
                bundles,
                Freezer(desk, bundles, packed),
                Older(desk, bundles, tunings.reduction),
                Toolbox(desk, bundles, Recall(bundles, history)),
                mcp,
                lambda tool, outcome: calls.inc(tool=tool, outcome=outcome),
                _address(settings),
                tunings,
                ahead,
                kept,
            )
        finally:
            await mcp.close()
            await answers.close()


def checks(ports: Ports) -> Checks:
    """What /health reports; without evidence nothing can be answered."""

    async def evidence() -> ComponentHealth:
        # Most recordings are read within this second, and then the service is ready from its first answer on.
        with suppress(NoEvidence):
            await ports.desk.source.probe(timedelta(seconds=1))
        state = ports.desk.source.state
        if state.connectivity is Connectivity.healthy:
            return ComponentHealth(status="healthy", detail=state.reason)
        # Old evidence with its age said is better than none: still ready, and not well.
        return ComponentHealth(status="degraded" if state.serves else "unhealthy", detail=state.reason)

    # Without its record the service answers as before, by what it knows of the tunings.
    told = {"tuning": Check(ports.tunings.check)} if ports.tunings.is_kept else {}
    return {"evidence": Check(evidence, critical=True), "cache": Check(ports.keeping.look), **told}


@asynccontextmanager
async def _tunings(settings: Settings, metrics: Metrics) -> AsyncIterator[Tunings]:
    tunings = Tunings(_record(settings), TuningMeters(metrics))
    preparing = asyncio.create_task(tunings.prepare(), name="tuning record")
    try:
        yield tunings
    finally:
        preparing.cancel()
        await asyncio.gather(preparing, return_exceptions=True)
        await tunings.close()


def _record(settings: Settings) -> TuningRecord | None:
    if settings.database_url is None:
        return None
    # Late: the database's libraries take a while to import, and without a database nobody needs them.
    from services.context_api.adapters.tuning_record import TuningRecord

    return TuningRecord(settings.database_url)


def _address(settings: Settings) -> str | None:
    return str(settings.public_url).rstrip("/") if settings.public_url is not None else None


@asynccontextmanager
async def _source(settings: Settings, metrics: Metrics) -> AsyncIterator[EvidenceSource]:
    if settings.is_live:
        source: RecordedCluster | LiveCluster = _live(settings, metrics)
    elif settings.recorded_cluster is not None:
        source = RecordedCluster(settings.recorded_cluster)
    else:
        yield NoSource(NOTHING_SET)
        return
    source.start()
    try:
        yield source
    finally:
        await source.stop()


def _live(settings: Settings, metrics: Metrics) -> LiveCluster:
    # Late: the cluster's client takes a second to import, and a recording needs none.
    from services.context_api.adapters import live
    from services.context_api.adapters.live.connect import connect
    from services.context_api.adapters.live.reflector_metrics import ReflectorMetrics

    access = live.Access(settings.evidence_kubeconfig, settings.evidence_context)
    limits = live.LiveLimits(
        call=settings.evidence_call_timeout,
        quota=live.Quota(settings.evidence_qps, settings.evidence_burst),
        kept_bytes=settings.evidence_cache_bytes,
        decoded_bytes=settings.evidence_decoded_bytes,
    )
    url, token = settings.evidence_prometheus_url, settings.evidence_prometheus_token
    gathering = live.Gathering(
        live.KubeApi(lambda: connect(access), limits),
        limits,
        live.Scope(settings.namespaces),
        live.Prometheus(str(url), token=token) if url is not None else None,
    )
    watching = live.Watching(
        gathering,
        telling=ReflectorMetrics(metrics),
        stale_limit=settings.evidence_stale_limit,
        discovery=settings.evidence_discovery_interval,
        pauses=live.Pauses(poll=settings.evidence_poll_interval),
    )
    return live.LiveCluster(
        watching,
        live.Times(max_age=settings.evidence_max_age, stale_limit=settings.evidence_stale_limit),
    )
