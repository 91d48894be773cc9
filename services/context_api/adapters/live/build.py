"""Builds a live cluster with its sources, each behind its gate, from what an operator has set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic import SecretStr

from libs.clients.breaker import Breaker
from services.context_api.adapters.live.api import KubeApi
from services.context_api.adapters.live.cluster import LiveCluster, Times
from services.context_api.adapters.live.connect import Access, connect
from services.context_api.adapters.live.gate import Gate, Telling
from services.context_api.adapters.live.gather import Gathering, Scope
from services.context_api.adapters.live.limits import LiveLimits
from services.context_api.adapters.live.logs import kubelets
from services.context_api.adapters.live.loki import AT_ONCE as LOKI_AT_ONCE
from services.context_api.adapters.live.loki import Labels, Loki
from services.context_api.adapters.live.prometheus import AT_ONCE, Prometheus
from services.context_api.adapters.live.verdicts import Pauses
from services.context_api.adapters.live.watching import CONFIRM, RESTS, Watching
from services.context_api.adapters.live.watching import Telling as WatchTelling
from services.context_api.domain.promql import matches_of
from services.context_api.domain.sources import SourceName


@dataclass(frozen=True)
class Beside:
    """What stands beside the cluster: where Prometheus and Loki are, and how they are asked."""

    prometheus_url: str | None
    prometheus_token: SecretStr | None
    prometheus_matchers: str
    prometheus_timeout: timedelta
    pod_logs: bool
    loki_url: str | None
    loki_tenant: str
    loki_token: SecretStr | None
    loki_matchers: str
    loki_labels: str
    loki_timeout: timedelta
    pause: timedelta
    """For so long a source is left alone whose breaker has opened."""


@dataclass(frozen=True)
class Built:
    cluster: LiveCluster
    gates: Sequence[Gate]
    """Of every source that is asked."""


def build(
    access: Access,
    limits: LiveLimits,
    scope: Scope,
    beside: Beside,
    *,
    telling: WatchTelling,
    counting: Telling,
    times: Times,
    discovery: timedelta,
    pauses: Pauses,
) -> Built:
    """Nothing is opened yet."""
    alive = Gate(
        SourceName.kubernetes,
        deadline=CONFIRM + timedelta(seconds=0.5),
        at_once=1,
        breaker=Breaker(open_for=RESTS),
        telling=counting,
    )
    logs = kubelets(limits, telling=counting, breaker=Breaker(open_for=beside.pause))
    prometheus, loki = _prometheus(beside, counting), _loki(beside, counting)
    gathering = Gathering(
        KubeApi(lambda: connect(access), limits),
        limits,
        scope,
        prometheus,
        loki,
        kubelets=logs,
        read_pod_logs=beside.pod_logs,
    )
    watching = Watching(
        gathering,
        telling=telling,
        stale_limit=times.stale_limit,
        discovery=discovery,
        pauses=pauses,
        alive=alive,
    )
    asked = [alive]
    if beside.pod_logs:
        asked.append(logs)
    asked += [one.gate for one in (loki, prometheus) if one is not None and one.gate is not None]
    return Built(LiveCluster(watching, times), asked)


def _prometheus(beside: Beside, counting: Telling) -> Prometheus | None:
    if beside.prometheus_url is None:
        return None
    return Prometheus(
        beside.prometheus_url,
        token=beside.prometheus_token,
        matches=matches_of(beside.prometheus_matchers),
        gate=Gate(
            SourceName.prometheus,
            deadline=beside.prometheus_timeout,
            at_once=AT_ONCE,
            breaker=Breaker(open_for=beside.pause),
            telling=counting,
        ),
    )


def _loki(beside: Beside, counting: Telling) -> Loki | None:
    if beside.loki_url is None:
        return None
    return Loki(
        beside.loki_url,
        tenant=beside.loki_tenant,
        token=beside.loki_token,
        labels=Labels(*beside.loki_labels.split(",")),
        matches=matches_of(beside.loki_matchers),
        gate=Gate(
            SourceName.loki,
            deadline=beside.loki_timeout,
            at_once=LOKI_AT_ONCE,
            breaker=Breaker(open_for=beside.pause),
            telling=counting,
        ),
    )
