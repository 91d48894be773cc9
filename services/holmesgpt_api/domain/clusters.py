"""Which cluster's Context API an investigation is asked of, and why. Pure; nowhere else is that decided.

A Context API reads one cluster. Triage, a model's tools, a replay and a chat bound to an investigation are all routed by
that investigation's request, which never changes, so all of them go to one cluster.

A cluster that nobody has configured is no fault of whoever sends its alert. The Go application takes every answer but 200
for a failure and makes a result up, and the alerts service puts into `target.cluster` what a label said; so, whichever
of them names it, the investigation is taken and ends at once: completed, without a result, and saying so
(`degraded_reason: unknown-cluster`). The default one is not asked in its place: a Context API whose cluster has no name
speaks for any that it is asked about, and would tell of another cluster's objects. Which clusters there are is told to
who may read every namespace; to anybody else only that this one is unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, HttpUrl

from libs.auth.principal import EVERY_NAMESPACE
from libs.contracts.causes import NoCause
from libs.contracts.investigations import InvestigationRequest, InvestigationResults
from libs.contracts.target import Cluster, is_cluster_name
from services.holmesgpt_api.domain.verdict import Verdict

LABEL = "cluster"
"""The alert's label that says where it comes from: Prometheus' external label of that name."""

UNNAMED = "local"
"""What a target says of whose cluster nobody has said anything."""

UNKNOWN_CLUSTER = "unknown-cluster"
"""Why there is no result, as a stable word; the Context API's own for the same."""

MOST = 100
"""Clusters of one service. Each has a pool of connections, and is looked at every 10 s."""

TOLD_AT_MOST = 20
"""Names in one sentence."""


class Why(StrEnum):
    """What decided on the cluster."""

    only = "only-one"
    """No clusters are configured: there is one Context API, for whatever is asked."""
    target = "request-target"
    label = "alert-label"
    session = "chat-session"
    """The investigation that the chat is bound to."""
    default = "default"
    """Nothing names one."""


@dataclass(frozen=True, slots=True)
class Route:
    why: Why
    address: str | None
    """Base URL of the Context API; None: nobody has configured one for this cluster."""
    cluster: str | None = None
    """The name under which objects are asked about there; None: as the request has it."""

    @property
    def place(self) -> str:
        """Equal for what is asked of the same cluster: its name, or the address where that is not known.

        Where no clusters are configured there is one place and it has no name, whatever its address.
        """
        return "" if self.why is Why.only else self.cluster or self.address or ""


@dataclass(frozen=True, slots=True)
class Clusters:
    """The Context APIs there are, by their base URLs."""

    default: str
    named: Mapping[str, str] = field(default_factory=dict)

    @property
    def addresses(self) -> list[str]:
        """Each once: the default one may be one of the named."""
        return list(dict.fromkeys((self.default, *self.named.values())))

    def route(self, request: InvestigationRequest) -> Route:
        """Where everything that belongs to the investigation is asked."""
        return self.of(*named_in(request))

    def of(self, cluster: str | None, why: Why = Why.session) -> Route:
        """The same, where it is known already what names which cluster."""
        if not self.named:
            return Route(Why.only, self.default)
        if cluster is None:
            return Route(Why.default, self.default, self._name_of_the_default)
        return Route(why, self.named.get(cluster), cluster)

    @property
    def _name_of_the_default(self) -> str | None:
        return next((name for name, address in self.named.items() if address == self.default), None)


ONE_FOR_ALL = Clusters("")
"""Where nobody has configured clusters, and nothing is asked of an address."""


def named_in(request: InvestigationRequest) -> tuple[str | None, Why]:
    """The cluster that a request names."""
    return named_by(request.target.cluster if request.target else None, request.labels.get(LABEL))


def named_by(target: str | None, label: str | None) -> tuple[str | None, Why]:
    """The target's word counts before the label's, as it does of namespaces."""
    if target and target != UNNAMED:
        return target, Why.target
    return (label, Why.label) if label else (None, Why.default)


def placed(request: InvestigationRequest, route: Route) -> InvestigationRequest:
    """As it is asked there: a target that names no cluster is the route's."""
    target = request.target
    if target is None or route.cluster is None or target.cluster == route.cluster:
        return request
    return request.model_copy(update={"target": target.model_copy(update={"cluster": route.cluster})})


def why_unknown(clusters: Clusters, cluster: str | None, reads: Collection[str]) -> str:
    """For the caller whose cluster it is, and who may read these namespaces (globs)."""
    known = sorted(clusters.named)
    named = (
        f"cluster {cluster}" if cluster and is_cluster_name(cluster) else "a cluster with an impossible name"
    )
    said = f"no Context API is configured for {named}"
    if EVERY_NAMESPACE not in reads:
        return said
    more = f" and {len(known) - TOLD_AT_MOST} more" if len(known) > TOLD_AT_MOST else ""
    return f"{said}; there are: {', '.join(known[:TOLD_AT_MOST])}{more}"


def no_result(engine: str, why: str) -> Verdict:
    """Of an investigation whose cluster nobody has configured: nothing was looked at, and that is what is said."""
    return Verdict(
        engine=engine,
        degraded_reason=UNKNOWN_CLUSTER,
        degraded_detail=why,
        summary=f"No result: {why}, so nothing was looked at.",
        results=InvestigationResults(
            cause=None,
            target=None,
            not_looked_at=[f"everything: {why}"],
            no_cause_reason=NoCause.insufficient,
        ),
    )


def told(verdict: Verdict, route: Route) -> Verdict:
    """The verdict, saying of which cluster it is and what decided that. Where there is one for all it says neither."""
    if route.why is Why.only:
        return verdict
    where = {"cluster": route.cluster, "cluster_by": route.why.value}
    return verdict.model_copy(update={"context_used": {**verdict.context_used, **where}})


def _one_each(urls: dict[str, HttpUrl]) -> dict[str, HttpUrl]:
    if UNNAMED in urls:
        raise ValueError(
            f"{UNNAMED!r} is what a target of no named cluster says; give the cluster another name"
        )
    if len({str(url) for url in urls.values()}) < len(urls):
        raise ValueError("two clusters have the same URL; a Context API reads one cluster")
    return urls


ClusterUrls = Annotated[dict[Cluster, HttpUrl], Field(max_length=MOST), AfterValidator(_one_each)]
"""Cluster's name to the base URL of its Context API."""
