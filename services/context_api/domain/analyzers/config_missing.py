"""ConfigMaps, Secrets and keys that a pod names and that are not there.

Sees the kubelet's message on containers that wait with CreateContainerConfigError and on pods whose volume
cannot be set up, beside what the recording holds: names and keys that resemble the missing one, pods of the
same workload that still run with it (so it was there once), and the custom resource that should make it.
Blames the workload that names a thing that never was; the ConfigMap or Secret when it was taken away; the
object whose key is gone when it was edited. Cannot see Secrets' values, and needs none.

Rests on: kubernetes.io/docs, "Configure a Pod to Use a ConfigMap" (restrictions), "Secrets"; kubelet messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from libs.contracts.causes import FindingSeverity, Remediation
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import last_edit
from services.context_api.domain.containers import Container, containers_of, is_ready
from services.context_api.domain.endings import began
from services.context_api.domain.evidence import Fact
from services.context_api.domain.kube import at, flat, listing, mapping, text
from services.context_api.domain.logs import cut, quote
from services.context_api.domain.names import resembles
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.references import references
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import by_top, clock, how_many, name_of, pods_by_top

NAME = "config_missing"
_OBJECT = re.compile(
    r"(configmap|secret)s? \"(?:[^\"/]+/)?([^\"/]+)\" (?:not found|is forbidden)", re.IGNORECASE
)
_KEY = re.compile(r"couldn't find key (\S+) in (ConfigMap|Secret) ([^/\s]+)/(\S+)", re.IGNORECASE)
_VOLUME_KEY = re.compile(r"references non-existent (config|secret) key:? (\S+)", re.IGNORECASE)
_MAKERS = frozenset(
    {
        "ExternalSecret",
        "SealedSecret",
        "Certificate",
        "VaultStaticSecret",
        "SecretProviderClass",
        "PushSecret",
        "InfisicalSecret",
        "OnePasswordItem",
    }
)
_REASONS = frozenset({"Failed", "FailedMount"})


@dataclass(frozen=True, slots=True)
class _Missing:
    kind: str
    name: str
    key: str | None
    message: str
    fact: Fact


def observe(scene: Scene) -> Iterator[Observation]:
    """Per workload and missing thing: one observation, two when the fault lies with the thing itself."""
    found: dict[int, tuple[KubeObject, list[_Missing]]] = {}
    for pod in scene.graph.pods:
        if is_ready(pod):
            continue
        missing = list(_missing(scene, pod))
        if missing:
            found[id(pod)] = (pod, missing)
    for top, pods in pods_by_top(scene, [pod for pod, _ in found.values()]):
        distinct: dict[tuple[str, str, str | None], list[tuple[KubeObject, _Missing]]] = {}
        for pod in pods:
            for one in found[id(pod)][1]:
                distinct.setdefault((one.kind, one.name, one.key), []).append((pod, one))
        for group in distinct.values():
            yield from _judge(scene, top, [p for p, _ in group], group[0][1])
    yield from _unnamed(scene, {id(pod) for pod, _ in found.values()})


def _unnamed(scene: Scene, told: set[int]) -> Iterator[Observation]:
    """Configuration the kubelet refuses without missing anything, e.g. a root user where none is allowed."""
    refused = [
        c
        for c in scene.graph.restless
        if c.waiting_reason == "CreateContainerConfigError" and id(c.pod) not in told
    ]
    for top, group in by_top(scene, refused):
        first = group[0]
        message = cut(redact(text(first.waiting.get("message"))), 300)
        changed = _changed(scene, scene.graph.workload(first.pod))
        yield Observation(
            about=top,
            reason="CreateContainerConfigError",
            text=f"{str(first).capitalize()} cannot be made in {how_many(scene, top, [c.pod for c in group])}: `{message}`{changed}",
            severity=FindingSeverity.critical,
            analyzer=NAME,
            depth=Depth.mechanism,
            certainty=0.88,
            facts=(_waiting_fact(first.pod, first),),
            basis=("the kubelet says what it refuses",),
            onset=began(scene, [c.pod for c in group], _REASONS),
            remediation=remedies.edit(
                scene.graph.workload(first.pod), f"Correct what the kubelet refuses of {first}."
            ),
        )


def _changed(scene: Scene, workload: KubeObject) -> str:
    rollout = scene.rollouts.of(workload)
    changes = rollout.changed("securityContext", "env", "image") if rollout is not None else []
    return (
        f"; changed by the rollout at {clock(rollout.at)}: {'; '.join(str(c) for c in changes[:3])}"
        if rollout and changes
        else ""
    )


def _waiting_fact(pod: KubeObject, container: Container) -> Fact:
    message = redact(text(container.waiting.get("message")))
    return evidence.field(
        pod,
        f"status.containerStatuses[{container.name}].state.waiting",
        {"reason": container.waiting_reason, "message": message},
        f"{container} of pod {pod.name} waits: {quote(message)}",
    )


def _missing(scene: Scene, pod: KubeObject) -> Iterator[_Missing]:
    """What the kubelet says is missing for this pod, as long as the pod waits for it."""
    for container in containers_of(pod):
        if container.waiting_reason in ("CreateContainerConfigError", "CreateContainerError"):
            message = text(container.waiting.get("message"))
            fact = _waiting_fact(pod, container)
            yield from _read(message, pod, fact)
    if pod.status.get("phase") == "Pending" and text(pod.spec.get("nodeName")):
        for event in scene.graph.events_about(pod):
            if event.reason == "FailedMount":
                yield from _read(event.message, pod, evidence.event(pod, event))


def _read(message: str, pod: KubeObject, fact: Fact) -> Iterator[_Missing]:
    message = message[:4000]
    kinds = {"configmap": "ConfigMap", "secret": "Secret"}
    for kind, name in _OBJECT.findall(message):
        yield _Missing(kinds[kind.lower()], name, None, message, fact)
    for key, kind, _, name in _KEY.findall(message):
        yield _Missing(kinds[kind.lower()], name, key, message, fact)
    for word, key in _VOLUME_KEY.findall(message):
        kind = "ConfigMap" if word.lower() == "config" else "Secret"
        named = next((r for r in references(pod.spec) if r.kind == kind and r.key == key), None)
        if named is not None:
            yield _Missing(kind, named.name, key, message, fact)


def _judge(scene: Scene, top: KubeObject, pods: list[KubeObject], missing: _Missing) -> Iterator[Observation]:
    workload = scene.graph.workload(pods[0])
    held = scene.graph.get(missing.kind, top.namespace, missing.name)
    named = [r for r in references(pods[0].spec) if r.kind == missing.kind and r.name == missing.name]
    named.sort(key=lambda r: missing.key is not None and r.key != missing.key)
    where = named[0].where if named else "its pod spec"
    what = (
        f"{missing.kind} {missing.name}"
        if missing.key is None
        else f"key `{missing.key}` of {missing.kind} {missing.name}"
    )
    onset = began(scene, pods, _REASONS)
    culprit, why = _culprit(scene, workload, pods, missing, held)
    hint = _hint(scene, top.namespace, missing, held)
    words = (
        f"{what} is missing, which {how_many(scene, top, pods)} need ({where}): `{quote(missing.message)}`"
    )
    sentence = words[0].upper() + words[1:] + (f"; {why}" if why else "") + (f"; {hint}" if hint else "")
    own = culprit is None
    yield Observation(
        about=top,
        reason=_reason(missing) if own else "CreateContainerConfigError",
        text=sentence,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism if own else Depth.process,
        certainty=0.9 if own else 0.6,
        facts=(missing.fact,),
        basis=("the kubelet names what it misses", *([hint] if hint else [])),
        onset=onset,
        remediation=_remedy(workload, missing, hint),
        blames=tuple(
            Blame(m, 0.9, f"it should make Secret {missing.name}")
            for m in _makers(scene, top.namespace, missing)
        ),
    )
    if culprit is not None:
        yield Observation(
            about=culprit,
            reason=_reason(missing),
            text=sentence,
            severity=FindingSeverity.critical,
            analyzer=NAME,
            depth=Depth.mechanism,
            certainty=0.92,
            facts=(missing.fact, *_edit_facts(culprit)),
            basis=("the kubelet names what it misses", why),
            onset=onset,
            remediation=_restore(culprit, missing),
            explains=(Explains(top, 0.95, f"{workload.kind} {workload.name} needs it ({where})"),),
        )


def _reason(missing: _Missing) -> str:
    return f"{missing.kind}KeyMissing" if missing.key else f"{missing.kind}NotFound"


def _culprit(
    scene: Scene, workload: KubeObject, pods: list[KubeObject], missing: _Missing, held: KubeObject | None
) -> tuple[KubeObject | None, str]:
    """The ConfigMap or Secret when it (or its key) was taken away; None when the workload names the wrong thing."""
    rollout = scene.rollouts.of(workload)
    renamed = (
        [c for c in rollout.changes if missing.name in c.after or (missing.key and missing.key in c.after)]
        if rollout
        else []
    )
    if rollout is not None and renamed:
        return (
            None,
            f"named so since the rollout at {clock(rollout.at)}: {'; '.join(str(c) for c in renamed[:2])}",
        )
    if held is not None and missing.key is not None:
        edit = last_edit(held)
        if edit is not None:
            return held, f"{held.kind} {held.name} was edited at {clock(edit.at)} by {edit.by}"
        keys = _keys(held)
        return held, f"it has {', '.join(f'`{k}`' for k in keys[:8])}" if keys else "it is empty"
    if held is None and _was_there(scene, workload, pods, missing):
        gone = KubeObject(
            "v1", missing.kind, workload.namespace, missing.name, "", {}, origin="named by pods, not recorded"
        )
        return gone, f"other pods of {workload.kind} {workload.name} run with it, so it was deleted since"
    return None, ""


def _was_there(scene: Scene, workload: KubeObject, pods: list[KubeObject], missing: _Missing) -> bool:
    """Some pod that names the same thing got it and runs: it existed when that pod started."""
    stuck = {p.name for p in pods}
    for pod in scene.graph.pods_of(workload):
        if pod.name in stuck or not is_ready(pod):
            continue
        if any(
            r.kind == missing.kind and r.name == missing.name and not r.optional for r in references(pod.spec)
        ):
            return True
    return False


def _keys(held: KubeObject) -> list[str]:
    """Key names of a ConfigMap or Secret (of a Secret only the names were recorded)."""
    known = [
        *flat(held.body.get("data")),
        *mapping(held.body.get("binaryData")),
        *mapping(held.body.get("dataSummary")),
    ]
    return sorted(str(k) for k in known)


def _hint(scene: Scene, namespace: str | None, missing: _Missing, held: KubeObject | None) -> str:
    """Something one could have meant: a resembling name, the same name elsewhere, a resembling key."""
    if missing.key is not None:
        keys = _keys(held) if held is not None else []
        close = [k for k in keys if resembles(k, missing.key)]
        if close or not keys:
            return f"it has a key `{close[0]}`" if close else ""
        return f"it has the keys {listing([f'`{key}`' for key in keys], 4)}"
    close = sorted(
        o.name for o in scene.snapshot.of_kind(missing.kind, namespace) if resembles(o.name, missing.name)
    )
    if close:
        return f"there is a {missing.kind} `{close[0]}`"
    elsewhere = [o for o in scene.snapshot.of_kind(missing.kind) if o.name == missing.name]
    return f"{name_of(elsewhere[0])} exists, in another namespace" if elsewhere else ""


def _makers(scene: Scene, namespace: str | None, missing: _Missing) -> list[KubeObject]:
    """Custom resources that should have made a Secret of this name."""
    if missing.kind != "Secret":
        return []
    return [
        o
        for kind in sorted(_MAKERS)
        for o in scene.snapshot.of_kind(kind, namespace)
        if missing.name
        in (
            text(o.spec.get("secretName")),
            text(at(o.spec, "target", "name")),
            text(at(o.spec, "destination", "name")),
            o.name,
        )
    ]


def _edit_facts(culprit: KubeObject) -> list[Fact]:
    edit = last_edit(culprit)
    if edit is None:
        return []
    return [
        evidence.change(
            culprit,
            f"edited at {clock(edit.at)} by {edit.by}",
            {"by": edit.by, "fields": list(edit.paths)},
            edit.at,
        )
    ]


def _remedy(workload: KubeObject, missing: _Missing, hint: str) -> Remediation:
    what = f"{missing.kind} {missing.name}" + (f" with key {missing.key}" if missing.key else "")
    return remedies.edit(
        workload, f"Create {what}, or name one that exists" + (f" ({hint})." if hint else ".")
    )


def _restore(culprit: KubeObject, missing: _Missing) -> Remediation:
    if missing.key is not None:
        return remedies.edit(culprit, f"Put key {missing.key} back into {culprit.kind} {culprit.name}.")
    kind = "configmap" if missing.kind == "ConfigMap" else "secret generic"
    return Remediation(
        text=f"Create {culprit.kind} {culprit.name} again, from its source or a backup.",
        command=remedies.kubectl(culprit, "create", kind, culprit.name, "--from-file=<its files>"),
        risk="Pods that wait for it start with what is put in.",
        undo=remedies.kubectl(culprit, "delete", remedies.resource(culprit)),
    )
