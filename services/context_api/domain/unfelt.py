"""Faults that nobody else can feel: of what no one uses, and of a rollout beside which the pods before it serve on.

Decides only whether a fault of an object can be why others fail. It stays a finding, and the cause of an alert about the
object itself. Nobody feels
- a claim, a Secret, a ConfigMap or a Service that no recorded workload, pod, route or platform object names: it may have
  lain there broken for months; and a workload at zero replicas whose Services, if it has any, are such ones;
- a workload with as many ready pods as it wants, none of which is of its newest revision: what was rolled out has never
  served anybody. Not where somebody's log complains of it: that is felt.

Cannot see who uses an object from outside the cluster, nor by a name that is put together at run time.

Rests on: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment (maxUnavailable:
old pods serve until new ones are ready), https://kubernetes.io/docs/concepts/storage/persistent-volumes/#binding.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from services.context_api.domain.containers import is_ready
from services.context_api.domain.edges import ROUTES, backends
from services.context_api.domain.kube import (
    WORKLOADS,
    at,
    containers,
    entries,
    flat,
    is_custom,
    leaves,
    number,
    pod_spec,
    replicas,
    selector_of,
    strings,
    template_labels,
    text,
)
from services.context_api.domain.references import references
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, once

_USED = frozenset({"PersistentVolumeClaim", "Secret", "ConfigMap"})
"""What does nothing by itself and is named in full by whoever uses it."""

_SURGES = frozenset({"Deployment", "DeploymentConfig", "Rollout"})
"""Workloads that make new pods beside the old ones."""


class Unfelt:
    """Looked up per object, and known then."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._known: dict[int, str] = {}

    def why(self, obj: KubeObject) -> str:
        """Why nobody else feels a fault of this object; empty where somebody may."""
        if id(obj) not in self._known:
            self._known[id(obj)] = self._why(obj)
        return self._known[id(obj)]

    def unused(self, obj: KubeObject) -> bool:
        """Whether it does nothing by itself, and nobody who could is recorded to use it."""
        if obj.kind in _USED:
            return (obj.kind, obj.namespace, obj.name) not in self._referred
        if obj.kind in _SURGES | {"StatefulSet"} and replicas(obj) == 0:
            return not any(self._is_called(service) for service in self._doors(obj))
        return obj.kind == "Service" and not self._is_called(obj)

    def _doors(self, workload: KubeObject) -> list[KubeObject]:
        """The Services that select what it would run."""
        labels = template_labels(workload)
        found = []
        for service in self._scene.graph.services_in(workload.namespace):
            wanted = selector_of(service)
            if wanted and all(labels.get(key) == value for key, value in wanted.items()):
                found.append(service)
        return found

    def _why(self, obj: KubeObject) -> str:
        if self.unused(obj):
            return f"nothing that was recorded uses {obj.kind} {obj.name}"
        if obj.kind in _SURGES and self._serves_as_before(obj):
            return f"the pods that {obj.kind} {obj.name} had before its rollout serve on, as many as it wants"
        return ""

    def _serves_as_before(self, workload: KubeObject) -> bool:
        rollout, wanted = self._scene.rollouts.of(workload), replicas(workload)
        if rollout is None or not wanted or number(workload.status.get("readyReplicas")) < wanted:
            return False
        pods = self._scene.graph.pods_of(workload)
        fresh = [p for p in pods if self._scene.graph.owner(p) is rollout.newest]
        if not fresh or any(map(is_ready, fresh)) or sum(map(is_ready, pods)) < wanted:
            return False
        return not any(self._complains_of(one, workload) for one in self._callers(workload))

    def _callers(self, workload: KubeObject) -> list[KubeObject]:
        tops = {id(top): top for top in map(self._scene.graph.top, self._scene.graph.workloads)}
        return [top for top in tops.values() if top is not workload and self._scene.deps.logged(top)]

    def _complains_of(self, caller: KubeObject, workload: KubeObject) -> bool:
        deps = self._scene.deps
        return any(
            said.found is not None and workload in deps.behind(said.found) for said in deps.spoken(caller)
        )

    @cached_property
    def _referred(self) -> frozenset[tuple[str, str | None, str]]:
        """What pods, templates, routes and platform objects name, by kind, namespace and name."""
        graph = self._scene.graph
        found: set[tuple[str, str | None, str]] = set()
        for user in (*graph.workloads, *graph.pods):
            found.update((r.kind, user.namespace, r.name) for r in references(pod_spec(user)))
        for claim in graph.of_kind("PersistentVolumeClaim"):
            # A set's claims wait for its pods, by a name that the set gives them.
            found.update(
                (claim.kind, claim.namespace, claim.name)
                for workload in graph.workloads_in(claim.namespace)
                for template in _templates(workload)
                if claim.name.startswith(f"{template}-{workload.name}-")
            )
        named = {
            (obj.namespace, value)
            for obj in graph.snapshot.objects
            if obj.kind not in WORKLOADS and (is_custom(obj) or obj.kind in (*ROUTES, "ServiceAccount"))
            for _, value in leaves(obj.body)
        }
        found.update((kind, place, name) for place, name in named for kind in _USED)
        return frozenset(found)

    def _is_called(self, service: KubeObject) -> bool:
        """Whether settings, routes, platform objects, hooks or a log name the Service."""
        graph, deps = self._scene.graph, self._scene.deps
        if (service.kind, service.namespace, service.name) in self._served or service.name in self._hooked:
            return True
        word = re.compile(rf"(?<![\w-]){re.escape(service.name)}(?![\w-])")
        tops = {id(top): top for top in map(graph.top, graph.workloads)}.values()
        files = self._files_with(service.name)
        return any(
            deps.mentions(top, word)
            or (
                self._may_name(top, service.name, files)
                and any(mention.found is service for mention in deps.configured(top))
            )
            for top in tops
        )

    def _files_with(self, name: str) -> frozenset[str | None]:
        """Namespaces of the ConfigMaps in which the name stands."""
        return frozenset(
            config.namespace
            for config in self._scene.graph.of_kind("ConfigMap")
            if any(name in words for words in flat(config.body.get("data")).values())
        )

    def _may_name(self, top: KubeObject, name: str, files: frozenset[str | None]) -> bool:
        """Whether the name may stand in its settings: reading who is meant there takes a hundred times as long."""
        return any(
            workload.namespace in files or name in _settings(workload)
            for workload in self._scene.graph.workloads_of(top)
        )

    @cached_property
    def _served(self) -> frozenset[tuple[str, str | None, str]]:
        """Services to which routes lead."""
        routes = self._scene.graph.of_kind(*ROUTES)
        return frozenset(("Service", b.namespace, b.service) for route in routes for b in backends(route))

    @cached_property
    def _hooked(self) -> frozenset[str]:
        """What platform objects and hooks of the API server say."""
        return frozenset(
            value
            for obj in self._scene.graph.snapshot.objects
            if is_custom(obj) or obj.kind in _HOOKS
            for _, value in leaves(obj.body)
        )


@dataclass(frozen=True, slots=True)
class Beside:
    """Whether a fault that only shares place and time with the alert may be why."""

    scene: Scene
    unfelt: Unfelt
    own: bool
    """Something is seen to be amiss with the alert's own object, or with the pods that it stands for."""

    def counts(self, obj: KubeObject) -> bool:
        """Not what nobody else can feel. Where nothing is seen of the alert's object, only a workload without any ready pod:
        much is unwell in a cluster at any time, and what shows no trouble needs no cause."""
        if self.unfelt.why(obj):
            return False
        pods = self.scene.graph.pods_of(obj)
        return self.own or (bool(pods) and not any(map(is_ready, pods)))


@once
def _settings(workload: KubeObject) -> str:
    """What its containers are told in variables and on the command line, a line each."""
    words: list[str] = []
    for container in containers(pod_spec(workload)):
        words += (text(one.get("value")) for one in entries(container.get("env")))
        words += (*strings(container.get("command")), *strings(container.get("args")))
    return "\n".join(words)


_HOOKS = frozenset(
    {
        "APIService",
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
        "CustomResourceDefinition",
    }
)
"""Built-in kinds that name Services which the API server calls."""


def _templates(workload: KubeObject) -> list[str]:
    """How a set's volume claim templates are called."""
    names = (text(at(one, "metadata", "name")) for one in entries(workload.spec.get("volumeClaimTemplates")))
    return [name for name in names if name]
