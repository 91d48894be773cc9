"""Services of type LoadBalancer that get no address from outside.

Sees the address a Service has got, how long it has waited for one, and the warning of the controller that should give
it. Without such a warning it is latent: many clusters have nobody who gives addresses, and reach the Service otherwise.
Cannot see the load balancer itself, nor health checks it makes.

Rests on: https://kubernetes.io/docs/concepts/services-networking/service/#loadbalancer (status.loadBalancer),
https://kubernetes.io/docs/tasks/access-application-cluster/create-external-load-balancer/ (SyncLoadBalancerFailed);
https://metallb.io/troubleshooting/ (AllocationFailed).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.kube import at, entries
from services.context_api.domain.logs import cut
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.wording import name_of, span

NAME = "load_balancer"
PATIENCE = timedelta(minutes=5)
"""Clouds take one to three minutes. A guess, above that."""

_REFUSALS = frozenset(
    {"SyncLoadBalancerFailed", "CreatingLoadBalancerFailed", "AllocationFailed", "FailedDeployModel"}
)


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per Service that waits for its address."""
    for service in scene.graph.of_kind("Service"):
        if service.spec.get("type") != "LoadBalancer" or service.metadata.get("deletionTimestamp"):
            continue
        created = service.created_at
        if (
            entries(at(service.status, "loadBalancer", "ingress"))
            or created is None
            or scene.now - created < PATIENCE
        ):
            continue
        told = [e for e in scene.graph.events_about(service) if e.warning and e.reason in _REFUSALS]
        words = f"{name_of(service)} (type LoadBalancer) has had no address from outside for {span((scene.now - created).total_seconds())}"
        words += f": `{cut(redact(told[-1].message), 260)}`" if told else ", and nobody says why"
        yield Observation(
            about=service,
            reason="LoadBalancerPending",
            text=words,
            severity=FindingSeverity.warning,
            analyzer=NAME,
            depth=Depth.mechanism,
            certainty=0.85 if told else 0.5,
            facts=(
                evidence.field(service, "status.loadBalancer", service.status.get("loadBalancer") or {}, words),
                *(evidence.event(service, e) for e in told[-1:]),
            ),
            basis=("it has no address", *(("its controller's warning",) if told else ())),
            onset=told[0].first if told else created,
            remediation=remedies.look(service, "Read what the load balancer's controller says: quota, subnets, address pool."),
            latent=not told,
        )  # fmt: skip
