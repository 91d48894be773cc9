"""Builds what the routes work with, and closes it again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
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
from services.context_api.adapters.source_metrics import SourceMetrics
from services.context_api.caches import Keeping, freshness_of, keeping
from services.context_api.domain.errors import NoEvidence
from services.context_api.domain.ports import Connectivity, EvidenceSource
from services.context_api.domain.sources import SourceName, health_of
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
    from services.context_api.adapters.live.build import Built
    from services.context_api.adapters.live.gate import Gate
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
    gates: Sequence[Gate] = ()
    """Of the sources of a live cluster."""

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
    counting = SourceMetrics(metrics)
    alerts = AlertsClient(
        settings.alerts_url, token=TokenMinter(ring, service=SERVICE), ca_file=settings.peer_ca_file
    )
    async with (
        _source(settings, metrics, counting) as (source, gates),
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
            history = AlertHistory(alerts, deadline=settings.history_timeout, telling=counting)
            bundles = Bundles(desk, history)
            yield Ports(
                desk,
                bundles,
                Freezer(desk, bundles, packed),
                Older(desk, bundles, tunings.reduction, freshness_of(settings).ttl),
                Toolbox(desk, bundles, Recall(bundles, history)),
                mcp,
                lambda tool, outcome: calls.inc(tool=tool, outcome=outcome),
                _address(settings),
                tunings,
                ahead,
                kept,
                gates,
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

    def asked_of(gate: Gate) -> Check:
        async def source() -> ComponentHealth:
            return health_of(gate.last, gate.breaker.state, gate.age)

        return Check(source)

    # The API server's own state is `evidence`.
    beside = {
        gate.name.value: asked_of(gate) for gate in ports.gates if gate.name is not SourceName.kubernetes
    }
    # Without its record the service answers as before, by what it knows of the tunings.
    kept = {"tuning": Check(ports.tunings.check)} if ports.tunings.is_kept else {}
    return {
        "evidence": Check(evidence, critical=True),
        "cache": Check(ports.keeping.look),
        **beside,
        **kept,
    }


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
async def _source(
    settings: Settings, metrics: Metrics, counting: SourceMetrics
) -> AsyncIterator[tuple[EvidenceSource, Sequence[Gate]]]:
    gates: Sequence[Gate] = ()
    if settings.is_live:
        built = _live(settings, metrics, counting)
        source: RecordedCluster | LiveCluster = built.cluster
        gates = built.gates
    elif settings.recorded_cluster is not None:
        source = RecordedCluster(settings.recorded_cluster)
    else:
        yield NoSource(NOTHING_SET), gates
        return
    source.start()
    try:
        yield source, gates
    finally:
        await source.stop()


def _live(settings: Settings, metrics: Metrics, counting: SourceMetrics) -> Built:
    # Late: the cluster's client takes a second to import, and a recording needs none.
    from services.context_api.adapters import live
    from services.context_api.adapters.live.build import Beside, build
    from services.context_api.adapters.live.reflector_metrics import ReflectorMetrics

    prometheus, loki = settings.evidence_prometheus_url, settings.evidence_loki_url
    return build(
        live.Access(settings.evidence_kubeconfig, settings.evidence_context),
        live.LiveLimits(
            call=settings.evidence_call_timeout,
            logs_within=settings.evidence_logs_timeout,
            quota=live.Quota(settings.evidence_qps, settings.evidence_burst),
            kept_bytes=settings.evidence_cache_bytes,
            decoded_bytes=settings.evidence_decoded_bytes,
        ),
        live.Scope(settings.namespaces),
        Beside(
            prometheus_url=str(prometheus) if prometheus is not None else None,
            prometheus_token=settings.evidence_prometheus_token,
            prometheus_matchers=settings.evidence_prometheus_matchers,
            prometheus_timeout=settings.evidence_prometheus_timeout,
            pod_logs=settings.evidence_pod_logs,
            loki_url=str(loki) if loki is not None else None,
            loki_tenant=settings.evidence_loki_tenant,
            loki_token=settings.evidence_loki_token,
            loki_matchers=settings.evidence_loki_matchers,
            loki_labels=settings.evidence_loki_labels,
            loki_timeout=settings.evidence_loki_timeout,
            pause=settings.evidence_source_pause,
        ),
        telling=ReflectorMetrics(metrics),
        counting=counting,
        times=live.Times(max_age=settings.evidence_max_age, stale_limit=settings.evidence_stale_limit),
        discovery=settings.evidence_discovery_interval,
        pauses=live.Pauses(poll=settings.evidence_poll_interval),
    )
