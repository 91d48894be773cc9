"""Short ways to make an Istio mesh in a test: a server, a client that complains, and the rules between them."""

from __future__ import annotations

from collections.abc import Sequence

from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import ContainerLog
from services.context_api.domain.triage import observe
from tests.support.kube import (
    Doc,
    container,
    deployment,
    env,
    event,
    log,
    pods_in,
    running,
    service,
    snapshot,
    thing,
)
from tests.support.triage import said

NET, SEC = "networking.istio.io/v1", "security.istio.io/v1"


SERVICE = service("api", port=8080, ready=2)


def server(*, proxied: bool = True, version: str = "v1") -> list[Doc]:
    inside = [container(), *([container("istio-proxy")] if proxied else [])]
    return deployment("api", containers=inside, labels={"app": "api", "version": version})


def client(line: str, *, proxied: bool = True) -> tuple[list[Doc], list[ContainerLog]]:
    """A workload that is not ready and says why."""
    probe = {"httpGet": {"path": "/", "port": 80}}
    inside = [container(env=env(API_URL="http://api:8080"), readinessProbe=probe)]
    states = [running(ready=False)]
    if proxied:
        inside, states = [*inside, container("istio-proxy")], [*states, running("istio-proxy")]
    objects = deployment("desk", containers=inside, statuses=states)
    told = [
        event(p, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
        for p in pods_in(objects)
    ]
    return [*objects, *told], [log(p, line) for p in pods_in(objects)]


def of_mesh(*objects: object, logs: Sequence[ContainerLog] = ()) -> list[tuple[str, str]]:
    everything = observe(Scene(snapshot(*objects, logs=logs)))
    return said([o for o in everything if o.analyzer in ("mesh_route", "mesh_policy")])


def virtual(*destinations: Doc, **spec: object) -> Doc:
    return thing(
        "VirtualService",
        "api",
        api=NET,
        spec={"hosts": ["api"], "http": [{"route": list(destinations)}], **spec},
    )


def to(subset: str, weight: int | None = None) -> Doc:
    return {
        "destination": {"host": "api", "subset": subset},
        **({} if weight is None else {"weight": weight}),
    }


def rule(*subsets: str, **spec: object) -> Doc:
    return thing("DestinationRule", "api", api=NET, spec={"host": "api.shop.svc.cluster.local", "subsets": [{"name": s, "labels": {"version": s}} for s in subsets], **spec})  # fmt: skip


def policy(action: str = "ALLOW", *rules: Doc, selector: Doc | None = None) -> Doc:
    spec = {"action": action, "rules": list(rules), "selector": {"matchLabels": selector or {"app": "api"}}}
    return thing("AuthorizationPolicy", "access", api=SEC, spec=spec)


def whence(**source: list[str]) -> Doc:
    return {"from": [{"source": source}]}


DENIED = "GET http://api:8080/x answered 403: RBAC: access denied"


MINE = "cluster.local/ns/shop/sa/default"


RESET = "GET http://api:8080/x: read: connection reset by peer"


def peer(mode: str, name: str = "default", namespace: str = "shop", **selector: Doc) -> Doc:
    return thing("PeerAuthentication", name, namespace, api=SEC, spec={"mtls": {"mode": mode}, **selector})
