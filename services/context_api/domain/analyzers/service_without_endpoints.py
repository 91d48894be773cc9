"""Services nothing answers behind: a selector that fits no pod, pods that are not ready, a wrong target port.

Sees selectors beside the labels pods really carry, EndpointSlices and Endpoints, named target ports.
A Service whose workload is scaled to zero, or that nothing ever stood behind, is no fault by itself: it
is said only when something that needs it fails (latent), and one whose pods wait for their turn or are on their way
within the time that was given them (`meant`) is not said. Of several ports one that nothing stands behind is latent
where nobody is led to it.
Cannot see whether a process listens on a port its container does not declare.

Rests on: kubernetes.io/docs, "Service" (selectors, targetPort, publishNotReadyAddresses), "Debug Services".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.kube import (
    entries,
    flat,
    mapping,
    number,
    ports_declared,
    replicas,
    selector_of,
    show_labels,
    template_labels,
    text,
)
from services.context_api.domain.led import is_led_to
from services.context_api.domain.meant import unready_as_meant
from services.context_api.domain.names import resembles
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import Body, KubeObject, once
from services.context_api.domain.wording import clock, name_of

NAME = "service_without_endpoints"
MOST_VALUES = 200
"""Label values compared by spelling per selector key; more would cost more than a guess is worth."""

MOST_PODS = 20


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per Service that cannot serve."""
    for service in scene.graph.of_kind("Service"):
        if service.is_leaving or not _selects(service):
            continue
        selector = selector_of(service)
        pods = scene.graph.pods_with(service.namespace, selector)
        state = scene.graph.endpoints(service)
        if not pods:
            # Ready endpoints and no pods: the pods were not recorded, or not readable. It serves all the same.
            if not (state.recorded and state.ready):
                yield from _nothing_selected(scene, service, selector)
            continue
        said = state.recorded or state.not_ready
        open_to_all = service.spec.get("publishNotReadyAddresses") is True
        if (
            said
            and state.ready == 0
            and not open_to_all
            and not all(unready_as_meant(scene, p) for p in pods)
        ):
            yield _nothing_ready(scene, service, pods)
        yield from _wrong_port(scene, service, pods)


@once
def _selects(service: KubeObject) -> bool:
    """Whether anybody can say which pods it wants."""
    values = mapping(service.spec.get("selector")).values()
    legible = not any(isinstance(value, dict | list | None) for value in values)
    return bool(values) and legible and service.spec.get("type") != "ExternalName"


def _nothing_ready(scene: Scene, service: KubeObject, pods: list[KubeObject]) -> Observation:
    state = scene.graph.endpoints(service)
    tops = {id(scene.graph.top(p)): scene.graph.top(p) for p in pods}
    who = ", ".join(name_of(t) for t in tops.values())
    return Observation(
        about=service,
        reason="NoReadyEndpoints",
        text=f"Service {service.namespace}/{service.name} has no ready endpoint: none of the {len(pods)} pods its selector "
        f"`{show_labels(flat(service.spec.get('selector')))}` matches ({who}) is ready",
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.symptom,
        certainty=0.5,
        facts=(_selector_fact(service, f"{state.ready} ready, {state.not_ready} not ready endpoints"),),
        basis=(
            "its endpoints" if state.recorded else "readiness of the selected pods (no endpoints recorded)",
        ),
        remediation=remedies.look(service, "Look at the pods behind the Service; it follows them."),
        blames=tuple(Blame(t, 0.95, f"its pods stand behind Service {service.name}") for t in tops.values()),
    )


def _nothing_selected(
    scene: Scene, service: KubeObject, selector: Mapping[str, str]
) -> Iterator[Observation]:
    workloads = scene.graph.workloads_with(service.namespace, selector)
    if any(number(w.status.get("readyReplicas")) > 0 for w in workloads):
        return  # so its pods are there, and only missing from the evidence
    if workloads:
        yield _no_pods(scene, service, workloads)
        return
    near, differences = _nearest(scene, service, selector)
    facts = [_selector_fact(service, "its selector matches no pod")]
    changed = ""
    if near is not None:
        labels = template_labels(near)
        facts.append(
            evidence.field(
                near, "labels of its pods", labels, f"pods of {name_of(near)} carry {show_labels(labels)}"
            )
        )
        changed = _relabelled(scene, near, selector)
    culprit = scene.graph.top(near) if near is not None and changed else service
    yield Observation(
        about=culprit,
        reason="SelectorMatchesNoPods",
        text=_selector_text(service, selector, near, differences) + changed,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.85 if near is not None else 0.5,
        facts=tuple(facts),
        basis=("its selector beside the labels of all pods in the namespace",),
        remediation=remedies.edit(
            culprit,
            f"Bring the selector of Service {service.name} and the pods' labels together{f': {differences}' if differences else ''}.",
        ),
        explains=(Explains(service, 0.95, "its pods lost the labels the Service selects"),)
        if culprit is not service
        else (),
        latent=not _meant(scene, service, selector, near),
    )


def _meant(scene: Scene, service: KubeObject, selector: Mapping[str, str], near: KubeObject | None) -> bool:
    """Whether the Service was surely meant for that workload.

    A selector for a role nobody has at the moment (`role=replica`), a colour not rolled out, a leftover: those are
    no faults until somebody misses them.
    """
    if near is None:
        return False
    labels = template_labels(near)
    served = any(
        other is not service
        and (wanted := flat(other.spec.get("selector")))
        and all(labels.get(k) == v for k, v in wanted.items())
        for other in scene.graph.services_in(service.namespace)
    )
    misspelt = any(k in labels and labels[k] != v for k, v in selector.items())
    return not served and (misspelt or near.name == service.name)


def _relabelled(scene: Scene, near: KubeObject, selector: Mapping[str, str]) -> str:
    """The newest rollout took a label off its pods that the Service selects."""
    rollout = scene.rollouts.of(near)
    changes = (
        [
            c
            for c in rollout.changed("labels")
            if any(c.path.endswith(f".{k}") and c.before == v for k, v in selector.items())
        ]
        if rollout
        else []
    )
    return (
        f"; changed by the rollout at {clock(rollout.at)}: {'; '.join(str(c) for c in changes)}"
        if rollout and changes
        else ""
    )


def _selector_text(
    service: KubeObject, selector: Mapping[str, str], near: KubeObject | None, differences: str
) -> str:
    words = f"The selector of Service {service.namespace}/{service.name} (`{show_labels(selector)}`) matches no pod, so it has no endpoints"
    return f"{words}; {name_of(near)} comes nearest: {differences}" if near is not None else words


def _no_pods(scene: Scene, service: KubeObject, workloads: list[KubeObject]) -> Observation:
    """The workload is there and has no pods: scaled to zero, or they cannot be made."""
    owner = workloads[0]
    zero = all(map(_wants_none, workloads))
    every = owner.kind == "DaemonSet"
    none = "finds no node that it is for" if every else "is scaled to 0 replicas"
    facts = [_selector_fact(service, "its selector matches no running pod")]
    if zero:
        field = "status.desiredNumberScheduled" if every else "spec.replicas"
        facts.append(evidence.field(owner, field, 0, f"{name_of(owner)} {none}"))
    return Observation(
        about=service,
        reason="NoPodsBehindService",
        text=f"Service {service.namespace}/{service.name} has no endpoints: {name_of(owner)}, whose pods it selects, "
        + (none if zero else "has no pods"),
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.symptom,
        certainty=0.5,
        facts=tuple(facts),
        basis=("its selector matches the workload's template and no pod",),
        remediation=remedies.look(owner, "Look why the workload behind the Service has no pods."),
        blames=tuple(
            Blame(scene.graph.top(w), 0.95, f"its pods would stand behind Service {service.name}")
            for w in workloads
        ),
        latent=zero or owner.kind in ("CronJob", "Job"),
    )


def _wants_none(workload: KubeObject) -> bool:
    """Whether it is asked to run no pod: of a kind that runs on every node, where no node is one that it is for."""
    if workload.kind == "DaemonSet":
        return workload.status.get("desiredNumberScheduled") == 0
    return workload.kind not in ("CronJob", "Job") and replicas(workload) == 0


def _nearest(scene: Scene, service: KubeObject, selector: Mapping[str, str]) -> tuple[KubeObject | None, str]:
    """The workload whose labels miss the selector by least, sharing at least half of it or the Service's name."""
    best: tuple[float, str, KubeObject] | None = None
    for workload in _candidates(scene, service, selector):
        labels = template_labels(workload)
        matching = sum(labels.get(k) == v for k, v in selector.items())
        alike = sum(k in labels and labels[k] != v and resembles(labels[k], v) for k, v in selector.items())
        score = matching + 0.5 * alike + (0.5 if workload.name == service.name else 0.0)
        if ((matching + alike) * 2 >= len(selector) or workload.name == service.name) and (
            best is None or score > best[0]
        ):
            best = (score, workload.name, workload)
    if best is None:
        return None, ""
    labels = template_labels(best[2])
    wrong = [
        f"selector has `{k}={v}`, its pods `{k}={labels[k]}`"
        if k in labels
        else f"its pods lack label `{k}` (selector wants `{v}`)"
        for k, v in sorted(selector.items())
        if labels.get(k) != v
    ]
    return best[2], "; ".join(wrong)


def _candidates(scene: Scene, service: KubeObject, selector: Mapping[str, str]) -> list[KubeObject]:
    """Workloads that share a label with the selector, have one spelled alike, or bear the Service's name."""
    found: dict[int, KubeObject] = {}
    for key, value in selector.items():
        for other in scene.graph.label_values(service.namespace, key)[:MOST_VALUES]:
            if other == value or resembles(other, value):
                found.update({id(w): w for w in scene.graph.workloads_with(service.namespace, {key: other})})
    found.update({id(w): w for w in scene.graph.workloads_named(service.namespace, service.name)})
    return sorted(found.values(), key=lambda w: (w.kind, w.name))


def _wrong_port(scene: Scene, service: KubeObject, pods: list[KubeObject]) -> Iterator[Observation]:
    """A named target port no container has (nothing is forwarded), or a number none declares."""
    # Of replicas, which declare the same, one is read.
    kinds = {id(scene.graph.owner(pod) or pod): pod for pod in pods}
    some = list(kinds.values())[:MOST_PODS]
    declared = [port for pod in some for port in ports_declared(pod)]
    names = {text(p.get("name")) for p in declared}
    numbers = {number(p.get("containerPort")) for p in declared}

    def fits(port: Body) -> bool:
        to = port.get("targetPort", port.get("port"))
        return to in names if isinstance(to, str) and not to.isdigit() else number(to) in numbers

    for port in entries(service.spec.get("ports")):
        target = port.get("targetPort", port.get("port"))
        if isinstance(target, str) and not target.isdigit():
            # A second door that nothing stands behind (metrics that are switched off) is missed by whoever is led there.
            wrong, certainty = target not in names, 0.85
            others = wrong and any(
                fits(other) for other in entries(service.spec.get("ports")) if other is not port
            )
            latent = others and not is_led_to(scene, service, port)
        else:
            wrong, certainty, latent = bool(numbers) and number(target) not in numbers, 0.75, True
        if not wrong or not target:
            continue
        has = (
            ", ".join(
                sorted(
                    {f"{text(p.get('name')) or 'unnamed'}:{number(p.get('containerPort'))}" for p in declared}
                )
            )
            or "none"
        )
        yield Observation(
            about=service,
            reason="TargetPortMismatch",
            text=f"Service {service.namespace}/{service.name} forwards port {number(port.get('port'))} to targetPort `{target}`, "
            f"but the containers of {name_of(scene.graph.top(pods[0]))} declare {has}",
            severity=FindingSeverity.warning,
            analyzer=NAME,
            depth=Depth.mechanism,
            certainty=certainty,
            facts=(
                evidence.field(
                    service, "spec.ports", entries(service.spec.get("ports")), f"targetPort {target}"
                ),
                evidence.field(
                    pods[0], "spec.containers[*].ports", declared, f"pod {pods[0].name} declares ports {has}"
                ),
            ),
            basis=("the Service's target port beside the ports its pods declare",),
            remediation=remedies.edit(
                service, f"Correct targetPort of Service {service.name}; the pods declare {has}."
            ),
            latent=latent,
        )


def _selector_fact(service: KubeObject, summary: str) -> evidence.Fact:
    return evidence.field(
        service, "spec.selector", flat(service.spec.get("selector")), f"Service {service.name}: {summary}"
    )
