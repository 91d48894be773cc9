"""Addresses that lead nowhere: settings that name a Service that does not exist, or a port it does not serve.

Sees hosts in environment, arguments and ConfigMaps of failing workloads beside the Services there are, and
whether the log complains about that very name. When a workload stands ready for the missing Service, the Service
is what is missing; else the setting is wrong. A line that names nobody speaks of a Service that does not exist only where it
cannot look a name up or connect: what answers late, or with an error, is there. Cannot judge names outside the cluster.

Rests on: kubernetes.io/docs, "DNS for Services and Pods", "Service".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from libs.contracts.causes import FindingSeverity, Remediation
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import last_edit
from services.context_api.domain.dependencies import Mention, Spoken, ports_of
from services.context_api.domain.focus import concerned
from services.context_api.domain.kube import listing, text
from services.context_api.domain.logs import quote
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "wrong_address"
_STARTING = frozenset({"pod_crash_loop", "probe_failure", "init_waiting"})
_UNREACHED = frozenset({"dns", "refused", "timeout", "other", "http"})
_NOT_THERE = frozenset({"dns", "refused", "other"})


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per wrong address of a workload that is in trouble (or that the alert is about)."""
    for top in concerned(scene, [o for o in seen if o.analyzer in _STARTING and o.depth <= Depth.process]):
        complaints = [s for s in scene.deps.spoken(top) if s.trouble in _UNREACHED]
        failing = any(o.about is top and o.analyzer in _STARTING for o in seen)
        told: set[tuple[str, int | None]] = set()
        for mention in scene.deps.configured(top):
            heard = _heard(complaints, mention)
            if heard is None and (
                not failing or scene.deps.logged(top) or not _recorded(scene, mention, top)
            ):
                continue
            place = (mention.host.name, mention.host.port)
            if place not in told:
                told.add(place)
                yield from _judge(scene, top, mention, heard)
        yield from _spoken_only(scene, top, complaints, {name for name, _ in told})


def _recorded(scene: Scene, mention: Mention, top: KubeObject) -> bool:
    """Whether the Services of the place a setting names were recorded, so that a missing one is news."""
    place = scene.graph.names.place(mention.host.name, top.namespace)
    return mention.found is not None or (place is not None and scene.graph.names.has_services(place[0]))


def _heard(complaints: list[Spoken], mention: Mention) -> Spoken | None:
    """The log line that complains about this very address."""
    for said in complaints:
        if said.host is not None and (
            said.host.name == mention.host.name or (said.found is not None and said.found is mention.found)
        ):
            return said
    for said in complaints:
        if said.host is None and mention.found is None and said.trouble not in _NOT_THERE:
            continue
        if said.host is None or (
            said.found is None and said.host.port is not None and said.host.port == mention.host.port
        ):
            return said
    return None


def _judge(scene: Scene, top: KubeObject, mention: Mention, heard: Spoken | None) -> Iterator[Observation]:
    if mention.found is None:
        place = scene.graph.names.place(mention.host.name, top.namespace)
        if place is not None:
            yield _no_service(scene, top, mention, place, heard)
    elif mention.found.kind == "Service" and mention.host.port is not None:
        ports = ports_of(mention.found)
        headless = text(mention.found.spec.get("clusterIP")) == "None"
        if ports and mention.host.port not in ports and not headless:
            words = (
                f"{_sentence(mention.where)} names port {mention.host.port} of Service {mention.found.namespace}/{mention.found.name}, "
                f"which serves {listing([str(p) for p in ports], 5)}"
            )
            yield _observation(
                top, mention.via, "WrongServicePort", words, 0.88 if heard else 0.6, mention, heard
            )


def _no_service(
    scene: Scene, top: KubeObject, mention: Mention, place: tuple[str, str], heard: Spoken | None
) -> Observation:
    namespace, name = place
    waiting = _stands_ready(scene, namespace, name)
    known = scene.graph.names.similar(namespace, name)
    words = (
        f"{_sentence(mention.where)} names `{mention.host.name}`, but there is no Service {namespace}/{name}"
    )
    if waiting is not None:
        gone = KubeObject("v1", "Service", namespace, name, "", {}, origin="named by settings, not recorded")
        words += f", though {name_of(waiting)} would stand behind it"
        return _observation(top, gone, "ServiceMissing", words, 0.88 if heard else 0.6, mention, heard)
    if known is not None:
        words += f"; there is {name_of(known)}"
    if namespace not in scene.graph.names.namespaces:
        words += f"; nothing was recorded of namespace {namespace}"
    return _observation(top, mention.via, "ServiceNotFound", words, 0.9 if heard else 0.6, mention, heard)


def _stands_ready(scene: Scene, namespace: str, name: str) -> KubeObject | None:
    """A workload of that name, or a StatefulSet that names it as its governing Service."""
    for workload in scene.graph.workloads_in(namespace):
        if workload.name == name or text(workload.spec.get("serviceName")) == name:
            return workload
    return None


def _spoken_only(
    scene: Scene, top: KubeObject, complaints: list[Spoken], told: set[str]
) -> Iterator[Observation]:
    """A cluster name the log cannot resolve, though no readable setting holds it (a Secret may)."""
    for said in complaints:
        if said.trouble != "dns" or said.host is None or said.found is not None or said.host.name in told:
            continue
        place = scene.graph.names.place(said.host.name, top.namespace)
        if place is None or ("." not in said.host.name and not scene.graph.names.similar(*place)):
            continue
        told.add(said.host.name)
        mention = Mention(said.host, "a setting that was not recorded", top, None)
        yield _no_service(scene, top, mention, place, said)


def _observation(
    top: KubeObject,
    holder: KubeObject,
    reason: str,
    words: str,
    certainty: float,
    mention: Mention,
    heard: Spoken | None,
) -> Observation:
    edit = last_edit(holder)
    facts = [evidence.field(holder, mention.key or mention.where, mention.host.name, words)]
    if heard is not None:
        words += f": `{quote(heard.line)}`"
        facts.append(evidence.log_line(heard.pod, heard.container, heard.line, heard.count))
    if edit is not None:
        words += f"; {name_of(holder)} was edited at {clock(edit.at)} by {edit.by}"
    return Observation(
        about=holder,
        reason=reason,
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=certainty,
        facts=tuple(facts),
        basis=(
            "the setting beside the Services there are",
            "its log complains about it" if heard else "against it: no log line names it",
        ),
        onset=edit.at if edit is not None else None,
        remediation=_remedy(holder, mention, reason),
        explains=(Explains(top, 0.95 if heard else 0.6, "it calls that address", deepest=Depth.process),),
    )


def _remedy(holder: KubeObject, mention: Mention, reason: str) -> Remediation:
    if reason == "ServiceMissing":
        return Remediation(
            text=f"Create Service {holder.name} again, from its source.",
            command=remedies.kubectl(holder, "apply", "-f", "<the Service's manifest>"),
            risk="None beyond what the Service did before.",
            undo=remedies.kubectl(holder, "delete", "service", holder.name),
        )
    return remedies.edit(holder, f"Correct the address `{mention.host.name}` in {name_of(holder)}.")


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:] if words else words
