"""Every weight earns its place: without it, an order or a confidence is another one. Every line of the tables is reached.

`tests/architecture/test_triage_document.py` holds the cases here against docs/triage.md, line by line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from libs.contracts.causes import FindingSeverity, NoCause
from services.context_api.domain import causality, edges, ranking, relation
from services.context_api.domain.analyzers import pod_crash_loop
from services.context_api.domain.causality import connect
from services.context_api.domain.mutes import Mute
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.ranking import Alert, Ranked, rank
from services.context_api.domain.relation import relate
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import ContainerLog, KubeObject, NotRead
from services.context_api.domain.triage import find_causes, observe
from tests.support.kube import (
    config_map,
    container,
    crashing,
    deployment,
    edit,
    ended,
    env,
    event,
    log,
    moment,
    node,
    pods_in,
    running,
    service,
    snapshot,
    thing,
    waiting,
)
from tests.support.triage import causes, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007", "API-BR-DOC-012")


def saw(about: KubeObject, certainty: float = 0.7, **more: Any) -> Observation:
    """An observation with nothing that a case does not speak of."""
    plain: dict[str, Any] = {
        "reason": "R", "text": "", "severity": FindingSeverity.warning, "analyzer": "x", "depth": Depth.process, "facts": (),
    }  # fmt: skip
    return Observation(about=about, certainty=certainty, **{**plain, **more})


def ranked(
    scene: Scene, target: KubeObject | None, *observations: Observation, onset: datetime | None = None
) -> list[Ranked]:
    ordered = sorted(observations, key=lambda o: o.key)
    place = target.namespace if target else None
    alert = Alert(target, place, onset, named=target is not None)
    return rank(scene, connect(scene, ordered), relate(scene, target, ordered), alert)


def order(*asked: Any, **how: Any) -> list[str]:
    return [r.observation.about.name for r in ranked(*asked, **how)]


# -- relations ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """Two objects that nothing but one relation connects, from the alert's to the one at fault."""

    objects: Sequence[Any]
    alert: tuple[str, str | None, str]
    fault: tuple[str, str | None, str]
    logs: Sequence[ContainerLog] = ()


WEB = ("Deployment", "shop", "web")


def _heard() -> Pair:
    web = deployment("web")
    logs = [log(pods_in(web)[0], "dial tcp: lookup api.shop.svc: connection refused api:80")]
    return Pair([web, service("api")], WEB, ("Service", "shop", "api"), logs)


def _carried() -> Pair:
    """A call that does not arrive, and the program that carries calls on every node."""
    web = deployment("web")
    spec = {"hostNetwork": True, "priorityClassName": "system-node-critical", "containers": [container()]}
    agent = thing("DaemonSet", "agent", "kube-system", api="apps/v1", spec={"template": {"spec": spec}})
    logs = [log(pods_in(web)[0], "ERROR Get http://api:80/: connect: no route to host")]
    return Pair([web, service("api", ready=1), agent], WEB, ("DaemonSet", "kube-system", "agent"), logs)


def _needing(kind: str, spec: Mapping[str, Any], **uses: Any) -> Callable[[], Pair]:
    return lambda: Pair(
        [deployment("web", containers=[container(**uses)], spec=spec), thing(kind, "thing")], WEB, (kind, "shop", "thing")
    )  # fmt: skip


def _above(kind: str, api: str, spec: Mapping[str, Any]) -> Callable[[], Pair]:
    return lambda: Pair(
        [deployment("web"), thing(kind, "top", api=api, spec=spec)], (kind, "shop", "top"), WEB
    )


def _pod() -> Pair:
    web = deployment("web")
    return Pair([web], ("Pod", "shop", pods_in(web)[0]["metadata"]["name"]), WEB)


def _owned() -> Pair:
    shop = thing("Shop", "top", api="example.com/v1")
    return Pair([shop, deployment("web", owner=shop)], ("Shop", "shop", "top"), WEB)


def _door() -> Pair:
    """A route and a Service that are reached at one address."""
    balanced = {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}}
    route = thing("Ingress", "top", api="networking.k8s.io/v1", status=balanced)
    return Pair(
        [route, thing("Service", "front", spec={"type": "LoadBalancer"}, status=balanced)],
        ("Ingress", "shop", "top"),
        ("Service", "shop", "front"),
    )


def _certificate() -> Any:
    """It names its issuer and writes its Secret."""
    return thing(
        "Certificate", "top", api="cert-manager.io/v1",
        spec={"secretName": "tls", "issuerRef": {"name": "ca", "kind": "Issuer"}},
    )  # fmt: skip


def _kustomization() -> Any:
    """Its inventory names what it wrote."""
    written = {"entries": [{"id": "shop_web_apps_Deployment", "v": "v1"}]}
    return thing("Kustomization", "top", api="kustomize.toolkit.fluxcd.io/v1", status={"inventory": written})


PAIRS: Mapping[str, Callable[[], Pair]] = {
    "owner": _pod,
    "selects": lambda: Pair([service("web"), deployment("web")], ("Service", "shop", "web"), WEB),
    "backend": lambda: Pair(
        [thing("Ingress", "top", api="networking.k8s.io/v1", spec={"defaultBackend": {"service": {"name": "web"}}}), service("web")],
        ("Ingress", "shop", "top"), ("Service", "shop", "web"),
    ),
    "door": _door,
    "scales": _above("HorizontalPodAutoscaler", "autoscaling/v2", {"scaleTargetRef": {"kind": "Deployment", "name": "web"}}),
    "protects": _above("PodDisruptionBudget", "policy/v1", {"selector": {"matchLabels": {"app": "web"}}}),
    "owned": _owned,
    "contains": lambda: Pair([node(), deployment("web")], ("Node", None, "node-1"), WEB),
    "heard": _heard,
    "carried": _carried,
    "volume": _needing("PersistentVolumeClaim", {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "thing"}}]}),
    "shared": lambda: Pair(
        [thing("PersistentVolumeClaim", "top", spec={"accessModes": ["ReadWriteMany"]}), deployment("web", spec={"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "top"}}]})],
        ("PersistentVolumeClaim", "shop", "top"), WEB,
    ),
    "config": _needing("ConfigMap", {}, envFrom=[{"configMapRef": {"name": "thing"}}]),
    "secret": _needing("Secret", {}, envFrom=[{"secretRef": {"name": "thing"}}]),
    "class": lambda: Pair(
        [thing("PersistentVolumeClaim", "top", spec={"storageClassName": "fast"}), thing("StorageClass", "fast", None, api="storage.k8s.io/v1")],
        ("PersistentVolumeClaim", "shop", "top"), ("StorageClass", None, "fast"),
    ),
    "named": lambda: Pair(
        [deployment("web", containers=[container(env=env(API="http://api:80"))]), service("api")], WEB, ("Service", "shop", "api")
    ),
    "node": lambda: Pair([deployment("web"), node()], WEB, ("Node", None, "node-1")),
    "refers": lambda: Pair(
        [_certificate(), thing("Issuer", "ca", api="cert-manager.io/v1")], ("Certificate", "shop", "top"), ("Issuer", "shop", "ca")
    ),
    "applies": lambda: Pair(
        [_kustomization(), deployment("web")], ("Kustomization", "shop", "top"), WEB,
    ),
    "made": lambda: Pair(
        [_certificate(), thing("Secret", "tls")], ("Secret", "shop", "tls"), ("Certificate", "shop", "top")
    ),
    "account": _needing("ServiceAccount", {"serviceAccountName": "thing"}),
    "led": lambda: Pair(
        [thing("Ingress", "top", api="networking.k8s.io/v1", spec={"defaultBackend": {"service": {"name": "web"}}}), service("web")],
        ("Service", "shop", "web"), ("Ingress", "shop", "top"),
    ),
}  # fmt: skip
"""By relation, in the order of the document's table."""


STRENGTHS = dict(edges.TABLE)


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_without_its_strength_a_relation_leads_to_no_cause(name: str, monkeypatch: pytest.MonkeyPatch):
    pair = PAIRS[name]()
    scene = Scene(snapshot(*pair.objects, logs=pair.logs))
    alert, fault = (scene.graph.get(*where) for where in (pair.alert, pair.fault))
    assert alert
    assert fault

    (with_it,) = ranked(scene, alert, saw(fault))
    monkeypatch.setitem(edges.TABLE, name, 0.0)
    without_it = ranked(Scene(scene.snapshot), alert, saw(fault))

    assert with_it.nearness == STRENGTHS[name]
    assert without_it == []


# -- facts of the score --------------------------------------------------------------------------------

SCENE = Scene(
    snapshot(
        deployment("web", containers=[container(env=env(API="http://api:80"))]), deployment("api"), service("api", ready=2),
        deployment("cat", before=[container(image="registry.example/app:0.9")], old_pods=2, pods=1, statuses=[waiting()], rolled_out=30),
        deployment("ant", statuses=[waiting()]), deployment("bee"), config_map("ant"), config_map("bee", edits=[edit(25, "data/x")]),
    )
)  # fmt: skip
"""`ant` comes before `bee` where nothing else decides."""


def at(kind: str, name: str) -> KubeObject:
    found = SCENE.graph.get(kind, "shop", name)
    assert found
    return found


W, API, ANT, BEE, CAT, ANTS, BEES = (
    at("Deployment", "web"), at("Deployment", "api"), at("Deployment", "ant"), at("Deployment", "bee"), at("Deployment", "cat"), at("ConfigMap", "ant"), at("ConfigMap", "bee"),
)  # fmt: skip


def on(*effects: KubeObject, strength: float = 0.9) -> tuple[Explains, ...]:
    return tuple(Explains(effect, strength, "x") for effect in effects)


SICK = saw(W, 0.3, depth=Depth.symptom, onset=moment(20))
CALLS = (Blame(API, 0.9, "x"),)

FACTS: Mapping[str, tuple[KubeObject | None, Sequence[Observation], Sequence[str]]] = {
    "certainty": (None, [saw(ANT, 0.5), saw(BEE, 0.9)], ["bee", "ant"]),
    "relation": (W, [SICK, saw(ANT, explains=on(W, strength=0.8)), saw(BEE, explains=on(W))], ["bee", "ant", "web"]),
    "covers": (
        W, [saw(W, 0.3, blames=CALLS), saw(API, 0.3), saw(ANT, explains=on(W)), saw(BEE, explains=on(W, API))], ["bee", "ant", "api", "web"],
    ),
    "upstream": (None, [SICK, saw(ANT, 0.7), saw(BEE, 0.2, explains=on(W))], ["bee", "ant", "web"]),
    "precedes": (W, [SICK, saw(ANT, explains=on(W)), saw(BEE, explains=on(W), onset=moment(21))], ["bee", "ant", "web"]),
    "changed": (W, [SICK, saw(ANTS, explains=on(W)), saw(BEES, explains=on(W))], ["bee", "ant", "web"]),
    "critical": (None, [saw(ANT), saw(BEE, severity=FindingSeverity.critical)], ["bee", "ant"]),
    "explained": (
        W, [saw(W, 0.9), saw(ANT, 0.3, explains=on(W, strength=0.7)), saw(BEE, 0.2, explains=on(W))], ["bee", "ant", "web"],
    ),
    "bystander": (W, [saw(W, 0.3), saw(API, 0.9)], ["web", "api"]),
    "unfelt": (W, [saw(W, 0.15, blames=(Blame(CAT, 0.9, "x"),)), saw(CAT, 0.9)], ["web", "cat"]),
}  # fmt: skip
"""By fact, in the order of the document's table: the alert's object, what was seen, and who comes first."""


@pytest.mark.parametrize("name", sorted(FACTS))
def test_without_its_weight_a_fact_decides_no_order(name: str, monkeypatch: pytest.MonkeyPatch):
    target, observations, expected = FACTS[name]

    with_it = order(SCENE, target, *observations)
    monkeypatch.setitem(ranking.WEIGHTS, name, 0.0)
    without_it = order(SCENE, target, *observations)

    assert [one for one in with_it if one in expected] == [one for one in expected if one in with_it]
    assert with_it[0] == expected[0]
    assert without_it != with_it


# -- links and limits ----------------------------------------------------------------------------------

LATER = saw(BEE, explains=on(W), onset=moment(10))
Answer = list[tuple[str, float]]


def _sure(target: KubeObject | None, *observations: Observation, onset: datetime | None = None) -> Answer:
    return [
        (r.observation.about.name, r.confidence) for r in ranked(SCENE, target, *observations, onset=onset)
    ]


LIMITS: Sequence[tuple[Any, str, Any, Callable[[], Answer]]] = [
    (causality, "SAME_OBJECT", 0.0, lambda: _sure(W, saw(W, 0.9, depth=Depth.symptom), saw(W, 0.3, depth=Depth.mechanism, reason="M"))),
    (causality, "LATE", 0.0, lambda: _sure(W, SICK, LATER)),
    (causality, "WEAKEST", 0.0, lambda: _sure(W, SICK, saw(API, explains=on(W, strength=0.3)))),
    (causality, "TOLERANCE", timedelta(0), lambda: _sure(W, SICK, saw(BEE, explains=on(W), onset=moment(19)))),
    (relation, "FAINTEST", 0.0, lambda: _sure(W, SICK, saw(BEE, explains=on(W, strength=0.1)))),
    (ranking, "COINCIDENCE", 0.0, lambda: _sure(W, saw(ANT, onset=moment(20)), onset=moment(15))),
    (ranking, "AROUND_BEFORE", timedelta(0), lambda: _sure(W, saw(ANT, onset=moment(20)), onset=moment(15))),
    (ranking, "AROUND_AFTER", timedelta(0), lambda: _sure(W, saw(ANT, onset=moment(12)), onset=moment(15))),
    (ranking, "CHANGE_WINDOW", timedelta(0), lambda: _sure(W, SICK, saw(BEES, 0.5, explains=on(W)))),
    (ranking, "ITSELF", 0.0, lambda: _sure(W, saw(W, 0.3), saw(API, 0.9))),
    (ranking, "FAINTEST", 0.0, lambda: _sure(W, saw(W, 0.1, blames=(Blame(API, 0.95, "x"),)), saw(API, 0.9))),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name", "none", "ask"), LIMITS, ids=[f"{m.__name__.rpartition('.')[2]}.{n}" for m, n, *_ in LIMITS])  # fmt: skip
def test_without_it_a_limit_changes_an_order_or_a_confidence(
    module: Any, name: str, none: Any, ask: Callable[[], Answer], monkeypatch: pytest.MonkeyPatch
):
    with_it = ask()
    monkeypatch.setattr(module, name, none)

    assert ask() != with_it


BLAMED: Sequence[tuple[str | None, float]] = [
    ("dial tcp: connect: connection refused api:80", 0.95),
    ("api:80: password authentication failed", 0.7),
    ("dial tcp 10.9.9.9:80: connection refused", 0.85),
    ("ERROR connection refused", 0.75),
    (None, 0.6),
    ("", 0.5),
    ("FATAL cannot parse flag --port", 0.3),
]


@pytest.mark.parametrize(("line", "strength"), BLAMED, ids=[str(strength) for _, strength in BLAMED])
def test_how_much_a_caller_blames_a_service_follows_from_its_log(line: str | None, strength: float):
    web = deployment("web", containers=[container(env=env(API="http://api:80"))], statuses=[crashing()])
    logs = [log(p, line) for p in pods_in(web)] if line is not None else []

    (found,) = seen(pod_crash_loop, web, service("api", port=80, ready=2), deployment("api"), logs=logs)

    assert [(b.on.name, b.strength) for b in found.blames] == [("api", strength)]


# -- confidence ------------------------------------------------------------------------------------------


def sure(target: KubeObject | None, *observations: Observation) -> dict[str, float]:
    return {r.observation.about.name: r.confidence for r in ranked(SCENE, target, *observations)}


def test_confidence_is_reckoned_as_the_document_says():
    named = 0.7 * 0.95  # the Service that its settings name, and the Deployment behind it

    assert sure(W, saw(W, 0.8))["web"] == pytest.approx(0.8)
    assert sure(W, saw(API, 0.8))["api"] == pytest.approx(0.8 * (0.55 + 0.45 * named), abs=0.006)
    assert sure(W, saw(W, 0.8), saw(API, 0.8))["api"] == pytest.approx(
        0.8 * (0.55 + 0.45 * named) * 0.6, abs=0.006
    )
    assert sure(W, saw(W, 0.8, onset=moment(20)), saw(BEES, 0.5, explains=on(W), onset=moment(21))) == {
        "bee": pytest.approx(0.5 * (0.55 + 0.45 * 0.9) + 0.04 + 0.03 + 0.03, abs=0.006),
        "web": pytest.approx(0.8 * (1 - 0.75 * 0.9), abs=0.006),
    }
    assert sure(None, saw(ANT, 0.8), saw(BEE, 0.8)) == {"ant": pytest.approx(0.8 * 0.85), "bee": 0.8}
    assert sure(None, saw(ANT, 0.8), saw(BEE, 0.7))["ant"] == pytest.approx(0.8 * 0.85)
    assert sure(None, saw(ANT, 0.8), saw(BEE, 0.6))["ant"] == 0.8
    assert sure(W, saw(W, 1.0))["web"] == 0.97


# -- depths and noes ---------------------------------------------------------------------------------------

PULL = waiting(reason="ImagePullBackOff", message="not found")
DEPTHS: Mapping[str, tuple[Sequence[Any], str]] = {
    "symptom": ([service("api", not_ready=2), deployment("api", statuses=[running(ready=False)])], "NoReadyEndpoints"),
    "process": ([deployment("api", statuses=[crashing()])], "CrashLoopBackOff"),
    "mechanism": ([deployment("api", statuses=[PULL])], "ImageNotFound"),
    "change": (
        [
            deployment("api", containers=[container(envFrom=[{"configMapRef": {"name": "c"}}])], statuses=[crashing()]),
            config_map("c", MODE="x", edits=[edit(22, "data/MODE")]),
        ],
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("depth", sorted(DEPTHS))
def test_every_depth_is_seen(depth: str):
    objects, reason = DEPTHS[depth]

    found = [o for o in observe(Scene(snapshot(*objects))) if o.depth.name == depth]

    assert found
    assert not reason or reason in {o.reason for o in found}


SCARRED = deployment("api", statuses=[running(minutes=20, restarts=1, last=ended(1, minutes=21))])
NOES: Mapping[str, Sequence[tuple[Sequence[Any], str | None, Sequence[NotRead]]]] = {
    NoCause.insufficient.value: [
        ([], None, ()),
        ([deployment("web")], "Deployment/shop/api", ()),
        (deployment("api")[:1], "Deployment/shop/api", ()),
        ([deployment("web")], None, (NotRead("pods.yaml", "cut off"),)),
    ],
    NoCause.recovered.value: [
        ([SCARRED], "Deployment/shop/api", ()),
        ([calm := deployment("api"), event(pods_in(calm)[0], "Unhealthy", "Readiness probe failed", last=5)], "Deployment/shop/api", ()),
    ],
    NoCause.nothing_wrong.value: [([deployment("api")], "Deployment/shop/api", ()), ([deployment("api")], None, ())],
    NoCause.muted.value: [([deployment("api", statuses=[crashing()])], "Deployment/shop/api", ())],
}  # fmt: skip
"""By answer, each of the conditions the document names."""


@pytest.mark.parametrize(
    ("answer", "case"),
    [(answer, case) for answer, cases in NOES.items() for case in cases],
    ids=[f"{answer}-{number}" for answer, cases in NOES.items() for number, _ in enumerate(cases)],
)
def test_every_no_is_given(answer: str, case: tuple[Sequence[Any], str | None, Sequence[NotRead]]):
    objects, target, gaps = case
    if answer == NoCause.muted.value:
        everything = Mute("*", "*", "*", "*", moment(0) + timedelta(days=1))
        said = find_causes(snapshot(*objects), mutes=[everything])
    else:
        said = find_causes(snapshot(*objects, not_read=gaps)) if gaps else causes(*objects, target=target)

    assert (said.no_cause, said.no_cause_reason) == (True, NoCause(answer))
