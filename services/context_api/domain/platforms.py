"""What the objects of platforms around Kubernetes name and make: one table, read in both directions.

Decides which fields of a GitOps application, a certificate, a route's parent, an operator's subscription, a build or
a scaler name another object, and which objects it writes. Whether any of them is well is not asked here. A kind that
has no row names what its fields are called after (`conventions.py`).

Rests on the API references of argo-cd.readthedocs.io, fluxcd.io, cert-manager.io, external-secrets.io,
gateway-api.sigs.k8s.io, istio.io, olm.operatorframework.io, keda.sh and docs.openshift.com.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from services.context_api.domain.conventions import Named, named
from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import entries, mapping, text
from services.context_api.domain.names import hosts_in
from services.context_api.domain.snapshot import Body, KubeObject


@dataclass(frozen=True, slots=True)
class Name:
    """A field that names another object."""

    path: str
    """Dotted, from the object's root; `[]` after a step means each entry of a list, `*` any field."""
    kind: str = ""
    """Where the entry does not say its kind."""
    field: str = "name"
    """Of the entry; a field that is text itself is the name."""
    home: str = ""
    """Path of the field that holds the namespace, where it is not the entry's `namespace` or the object's own. A word
    without dots: the program in whose namespace it lies, and that namespace's usual name."""
    group: str | None = None
    """Of the named object, for kinds that several APIs have."""
    makes: bool = False
    """The object writes what it names, rather than to need it."""
    own: bool = False
    """Where the field is not there, the other object bears the name of this one."""


_SOURCE = "source.toolkit.fluxcd.io"
_GATEWAY = "gateway.networking.k8s.io"
_ROUTE = (Name("spec.parentRefs[]", "Gateway", group=_GATEWAY),)
_BUILD = (
    Name("spec.strategy.sourceStrategy.from", "ImageStreamTag"),
    Name("spec.strategy.dockerStrategy.from", "ImageStreamTag"),
    Name("spec.strategy.customStrategy.from", "ImageStreamTag"),
    Name("spec.source.sourceSecret", "Secret"),
    Name("spec.output.pushSecret", "Secret"),
    Name("spec.output.to", "ImageStreamTag", makes=True),
)

NAMES: Mapping[tuple[str, str], Sequence[Name]] = {
    ("argoproj.io", "Application"): (
        Name("spec.project", "AppProject"),
        Name("status.resources[]", makes=True),
    ),
    ("argoproj.io", "ApplicationSet"): (Name("status.resources[]", "Application", makes=True),),
    ("kustomize.toolkit.fluxcd.io", "Kustomization"): (
        Name("spec.sourceRef", "GitRepository"),
        Name("spec.dependsOn[]", "Kustomization"),
        Name("spec.decryption.secretRef", "Secret"),
        Name("spec.postBuild.substituteFrom[]"),
        Name("status.inventory.entries[]", field="id", makes=True),
    ),
    ("helm.toolkit.fluxcd.io", "HelmRelease"): (
        Name("spec.chart.spec.sourceRef", "HelmRepository"),
        Name("spec.chartRef", "OCIRepository"),
        Name("status.helmChart", "HelmChart"),
        Name("spec.dependsOn[]", "HelmRelease"),
        Name("spec.valuesFrom[]", "ConfigMap"),
        Name("status.inventory.entries[]", field="id", makes=True),
    ),
    (_SOURCE, "GitRepository"): (Name("spec.secretRef", "Secret"),),
    (_SOURCE, "HelmRepository"): (Name("spec.secretRef", "Secret"),),
    (_SOURCE, "OCIRepository"): (Name("spec.secretRef", "Secret"),),
    (_SOURCE, "Bucket"): (Name("spec.secretRef", "Secret"),),
    (_SOURCE, "HelmChart"): (Name("spec.sourceRef", "HelmRepository"),),
    ("cert-manager.io", "Certificate"): (
        Name("spec.issuerRef", "Issuer"),
        Name("spec.secretName", "Secret", makes=True),
    ),
    ("cert-manager.io", "CertificateRequest"): (Name("spec.issuerRef", "Issuer"),),
    ("acme.cert-manager.io", "Order"): (Name("spec.issuerRef", "Issuer"),),
    ("acme.cert-manager.io", "Challenge"): (Name("spec.issuerRef", "Issuer"),),
    ("cert-manager.io", "Issuer"): (
        Name("spec.ca.secretName", "Secret"),
        Name("spec.vault.auth.*", "Secret"),
        Name("spec.acme.solvers[].dns01.*.*", "Secret"),
    ),
    # The secrets of a ClusterIssuer lie where cert-manager runs, unless it was told otherwise.
    ("cert-manager.io", "ClusterIssuer"): (
        Name("spec.ca.secretName", "Secret", home="cert-manager"),
        Name("spec.vault.auth.*", "Secret", home="cert-manager"),
        Name("spec.acme.solvers[].dns01.*.*", "Secret", home="cert-manager"),
    ),
    ("external-secrets.io", "ExternalSecret"): (
        Name("spec.secretStoreRef", "SecretStore"),
        Name("spec.target.name", "Secret", makes=True, own=True),
    ),
    ("bitnami.com", "SealedSecret"): (Name("metadata.name", "Secret", makes=True),),
    ("secrets.hashicorp.com", "VaultStaticSecret"): (
        Name("spec.vaultAuthRef", "VaultAuth"),
        Name("spec.destination", "Secret", makes=True),
    ),
    (_GATEWAY, "HTTPRoute"): _ROUTE,
    (_GATEWAY, "GRPCRoute"): _ROUTE,
    (_GATEWAY, "TCPRoute"): _ROUTE,
    (_GATEWAY, "TLSRoute"): _ROUTE,
    (_GATEWAY, "Gateway"): (
        Name("spec.gatewayClassName", "GatewayClass"),
        Name("spec.listeners[].tls.certificateRefs[]", "Secret"),
    ),
    ("networking.istio.io", "VirtualService"): (
        Name("spec.gateways[]", "Gateway", group="networking.istio.io"),
    ),
    ("operators.coreos.com", "Subscription"): (
        Name("spec.source", "CatalogSource", home="spec.sourceNamespace"),
        Name("status.installPlanRef", "InstallPlan"),
        Name("status.currentCSV", "ClusterServiceVersion"),
    ),
    ("operators.coreos.com", "InstallPlan"): (
        Name("spec.clusterServiceVersionNames[]", "ClusterServiceVersion"),
    ),
    ("olm.operatorframework.io", "ClusterExtension"): (
        Name("spec.serviceAccount", "ServiceAccount", home="spec.namespace"),
    ),
    ("keda.sh", "ScaledObject"): (Name("spec.triggers[].authenticationRef", "TriggerAuthentication"),),
    ("keda.sh", "ScaledJob"): (Name("spec.triggers[].authenticationRef", "TriggerAuthentication"),),
    ("keda.sh", "TriggerAuthentication"): (Name("spec.secretTargetRef[]", "Secret"),),
    ("build.openshift.io", "BuildConfig"): _BUILD,
    ("config.openshift.io", "ClusterOperator"): (Name("status.relatedObjects[]", makes=True),),
}  # fmt: skip
"""(API group, kind) -> what it names."""

_CARRIED = (
    ("kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/namespace", "Kustomization"),
    ("helm.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/namespace", "HelmRelease"),
    ("olm.owner", "olm.owner.namespace", "ClusterServiceVersion"),
)
"""(label with a maker's name, label with its namespace, its kind)."""

_MARKS = frozenset(label for label, _, _ in _CARRIED)
TRACKING = "argocd.argoproj.io/tracking-id"

_TOKEN = re.compile(r"[\w./-]+")
SHORTEST = 6
"""Letters of a controller's name from which it is told by: `manager` says nothing of a Deployment `man`."""

GITOPS = frozenset({"Application", "Kustomization", "HelmRelease"})
"""Kinds that write what a repository holds, again and again."""


@dataclass(frozen=True, slots=True)
class Link:
    """An object that another one names."""

    to: KubeObject
    where: str


class Platforms:
    """What platform objects of one snapshot name and make."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[int, tuple[list[Link], list[Link]]] = {}

    def needs(self, obj: KubeObject) -> list[Link]:
        """Recorded objects that it names and needs."""
        return self._read(obj)[0]

    def makes(self, obj: KubeObject) -> list[Link]:
        """Recorded objects that it writes: by its own list, and by the marks it leaves on them."""
        found = {id(link.to): link for link in self._read(obj)[1]}
        for made in self._marked.get(id(obj), []):
            found.setdefault(id(made), Link(made, "its mark"))
        return list(found.values())

    def makers(self, obj: KubeObject) -> list[KubeObject]:
        """Platform objects that write this one: by their own lists, and by the labels they leave."""
        found = {id(m): m for m in self._makers.get(id(obj), [])}
        found.update({id(m): m for m in self._carried(obj)})
        return list(found.values())

    def should_make(self, kind: str, namespace: str | None, name: str) -> list[KubeObject]:
        """Platform objects that are to write an object of that name, whether or not it is there."""
        return self._promised.get((kind, namespace, name), [])

    @property
    def promise(self) -> bool:
        """Whether any platform object is to write anything."""
        return bool(self._promised)

    def controllers(self, obj: KubeObject) -> list[KubeObject]:
        """Workloads that bear the name under which the object's status is written.

        A controller writes as its program (`kustomize-controller`), or as one of its parts (`cert-manager-orders`).
        """
        found: dict[int, KubeObject] = {}
        for entry in entries(obj.metadata.get("managedFields")):
            manager = text(entry.get("manager"))
            if entry.get("subresource") != "status" or len(manager) < SHORTEST:
                continue
            parts = manager.split("-")
            for size in range(len(parts), 0, -1):
                called = self._by_name.get("-".join(parts[:size]), [])
                if called and len(called[0].name) >= SHORTEST:
                    found.update({id(w): w for w in called})
                    break
        return list(found.values())

    def spoken(self, obj: KubeObject, message: str) -> list[tuple[KubeObject, str]]:
        """(Service, host) for each address of the cluster that a status message names: a webhook, a registry."""
        found: dict[int, tuple[KubeObject, str]] = {}
        for host in hosts_in(message, spoken=True):
            if "." in host.name or host.port:
                service = self._graph.names.find(host.name, obj.namespace)
                if service is not None:
                    found.setdefault(id(service), (service, host.name))
        return list(found.values())

    def mentioned(self, obj: KubeObject, message: str) -> list[KubeObject]:
        """Recorded objects that a status message calls by kind and name: `Zone "eu-1"`, `secrets/db`, `Pool ops/blue`."""
        found: dict[int, KubeObject] = {}
        words = [w.strip(".-/") for w in _TOKEN.findall(message[:4000])]
        for index, word in enumerate(words):
            head, _, tail = word.partition("/")
            kind = self._kinds.get(head.lower())
            if kind is None:
                continue
            for called in [tail] if tail else words[index + 1 : index + 3]:
                space, _, name = called.rpartition("/")
                other = self._find(kind, space or obj.namespace, name, None) if name else None
                if other is not None and other is not obj:
                    found.setdefault(id(other), other)
                    break
        return list(found.values())

    @cached_property
    def _kinds(self) -> dict[str, str]:
        """Kinds as messages write them: `Pool`, `pool`, `pools`."""
        kinds = sorted(self._graph.snapshot.kinds)
        return {**{p: k for p, k in self._plurals.items() if k in kinds}, **{k.lower(): k for k in kinds}}

    @cached_property
    def _by_name(self) -> dict[str, list[KubeObject]]:
        index: dict[str, list[KubeObject]] = {}
        for workload in self._graph.workloads:
            if workload.kind in ("Deployment", "StatefulSet", "DaemonSet"):
                index.setdefault(workload.name, []).append(self._graph.top(workload))
        return index

    @cached_property
    def _promised(self) -> dict[tuple[str, str | None, str], list[KubeObject]]:
        index: dict[tuple[str, str | None, str], list[KubeObject]] = {}
        for group, kind in NAMES:
            for maker in self._graph.snapshot.of_kind(kind):
                for name in NAMES[group, kind] if maker.group == group else ():
                    for made in _named(maker, name, self._home(maker, name)) if name.makes else ():
                        index.setdefault(made, []).append(maker)
        for maker, by_field in self._by_convention.values():
            for one in by_field:
                if one.makes and maker not in index.get((one.kind, one.namespace, one.name), ()):
                    index.setdefault((one.kind, one.namespace, one.name), []).append(maker)
        return index

    @cached_property
    def _by_convention(self) -> dict[int, tuple[KubeObject, list[Named]]]:
        """What custom resources without a row name, by the way their fields are called."""
        kinds = frozenset(self._graph.snapshot.kinds)
        return {
            id(obj): (obj, found)
            for obj in self._graph.snapshot.objects
            if (obj.group, obj.kind) not in NAMES and (found := named(obj, kinds))
        }

    def unmet(self, obj: KubeObject) -> Iterator[tuple[Name, str, str | None, str]]:
        """(field, kind, namespace, name) of everything it needs and that was not recorded."""
        for name in _rows(obj):
            if not name.makes:
                for kind, namespace, called in _named(obj, name, self._home(obj, name)):
                    if self._find(kind, namespace, called, name.group) is None:
                        yield name, kind, namespace, called

    def _read(self, obj: KubeObject) -> tuple[list[Link], list[Link]]:
        if id(obj) not in self._known:
            found: tuple[dict[int, Link], dict[int, Link]] = ({}, {})
            for name in _rows(obj):
                for to in self._resolved(obj, name):
                    if to is not obj:
                        found[name.makes].setdefault(id(to), Link(to, name.path.replace("[]", "")))
            for one in self._by_convention.get(id(obj), (obj, []))[1]:
                other = self._find(one.kind, one.namespace, one.name, None)
                if other is not None and other is not obj:
                    found[one.makes].setdefault(id(other), Link(other, one.where))
            self._known[id(obj)] = (list(found[0].values()), list(found[1].values()))
        return self._known[id(obj)]

    def _resolved(self, obj: KubeObject, name: Name) -> Iterator[KubeObject]:
        for kind, namespace, called in _named(obj, name, self._home(obj, name)):
            if kind == "namespaces":
                yield from (self._graph.top(w) for w in self._graph.workloads_in(called))
                continue
            found = self._find(kind, namespace, called, name.group)
            if found is not None:
                yield found

    def _home(self, obj: KubeObject, name: Name) -> str:
        """The namespace a field's objects lie in, where its row says one: `cert-manager` wherever it was installed."""
        if "." in name.home:
            return text(next(walk(obj.body, name.home), ""))
        return self._installed.get(name.home, name.home)

    @cached_property
    def _installed(self) -> dict[str, str]:
        """Program -> namespace it runs in, by the label that its charts and manifests carry."""
        return {
            name: workload.namespace
            for workload in reversed(self._graph.workloads)
            if (name := text(workload.labels.get("app.kubernetes.io/name"))) and workload.namespace
        }

    def _find(self, kind: str, namespace: str | None, name: str, group: str | None) -> KubeObject | None:
        kind = self._plurals.get(kind, kind)
        get = self._graph.snapshot.get
        return get(kind, namespace, name, group=group) or get(kind, None, name, group=group)

    @cached_property
    def _plurals(self) -> dict[str, str]:
        """`deployments` -> Deployment: some references name the resource rather than the kind."""
        return {f"{k.lower()}{'es' if k.endswith('s') else 's'}": k for k in self._graph.snapshot.kinds}

    @cached_property
    def _makers(self) -> dict[int, list[KubeObject]]:
        index: dict[int, list[KubeObject]] = {}
        for group, kind in NAMES:
            # A cluster operator's list is of what it watches over; it does not write workloads anew.
            for maker in self._graph.snapshot.of_kind(kind) if kind != "ClusterOperator" else ():
                if maker.group == group:
                    for link in self._read(maker)[1]:
                        index.setdefault(id(link.to), []).append(maker)
        for maker, _ in self._by_convention.values():
            for link in self._read(maker)[1]:
                index.setdefault(id(link.to), []).append(maker)
        return index

    @cached_property
    def _marked(self) -> dict[int, list[KubeObject]]:
        index: dict[int, list[KubeObject]] = {}
        makers = {"Application", *(kind for _, _, kind in _CARRIED)}
        if makers.isdisjoint(self._graph.snapshot.kinds):
            return index
        for obj in self._graph.snapshot.objects:
            marked = TRACKING in obj.annotations or not _MARKS.isdisjoint(obj.labels)
            for maker in self._carried(obj) if marked else ():
                index.setdefault(id(maker), []).append(obj)
        return index

    def _carried(self, obj: KubeObject) -> Iterator[KubeObject]:
        for label, place, kind in _CARRIED:
            name = text(obj.labels.get(label))
            found = (
                self._find(kind, text(obj.labels.get(place)) or obj.namespace, name, None) if name else None
            )
            if found is not None and found is not obj:
                yield found
        # `app:group/Kind:namespace/name`; an application outside of Argo CD's own namespace is `namespace_app`.
        tracking, _, rest = text(obj.annotations.get(TRACKING)).partition(":")
        if tracking and rest.endswith(f"{obj.kind}:{obj.namespace or ''}/{obj.name}"):
            home, _, short = tracking.rpartition("_")
            for app in self._applications.get(short or tracking, []):
                if not home or app.namespace == home:
                    yield app

    @cached_property
    def _applications(self) -> dict[str, list[KubeObject]]:
        index: dict[str, list[KubeObject]] = {}
        for app in self._graph.snapshot.of_kind("Application"):
            index.setdefault(app.name, []).append(app)
        return index

    def streams(self, workload: KubeObject) -> Iterator[KubeObject]:
        """Image streams whose new images roll it out (OpenShift image triggers)."""
        triggers = [mapping(t.get("imageChangeParams")) for t in entries(workload.spec.get("triggers"))]
        triggers += _json_list(workload.annotations.get("image.openshift.io/triggers"))
        for trigger in triggers:
            source = mapping(trigger.get("from"))
            stream = self._find(
                "ImageStream", text(source.get("namespace")) or workload.namespace, text(source.get("name")).partition(":")[0], None
            )  # fmt: skip
            if stream is not None:
                yield stream


def _rows(obj: KubeObject) -> Sequence[Name]:
    return NAMES.get((obj.group, obj.kind), ())


def _named(obj: KubeObject, name: Name, home: str = "") -> Iterator[tuple[str, str | None, str]]:
    """(kind, namespace, name) for each object a field names; `home` is where `name.home` says it lies."""
    values = list(walk(obj.body, name.path)) or ([obj.name] if name.own else [])
    for value in values:
        entry = mapping(value)
        called = text(entry.get(name.field)) if entry or "*" in name.path else text(value)
        if not called:
            continue
        kind = text(entry.get("kind")) or text(entry.get("resource")) or name.kind
        namespace = text(entry.get("namespace")) or home or obj.namespace
        if name.field == "id":
            # A Flux inventory entry: `namespace_name_group_kind`.
            parts = called.split("_")
            if len(parts) == 4:
                yield parts[3], parts[0] or None, parts[1].replace("__", ":")
            continue
        if "/" in called:
            namespace, _, called = called.partition("/")
        if kind in ("ImageStreamTag", "ImageStreamImage"):
            kind, called = "ImageStream", called.partition(":")[0].partition("@")[0]
        yield kind, namespace, called


def walk(value: object, path: str) -> Iterator[Any]:
    """The values at a dotted path; `[]` after a step goes into each entry of a list, `*` into every field."""
    step, _, rest = path.partition(".")
    here = mapping(value)
    inner = here.get(step.removesuffix("[]"))
    if step == "*":
        found = list(here.values())
    elif step.endswith("[]"):
        found = inner if isinstance(inner, list) else []
    else:
        found = [inner] if inner is not None else []
    for one in found:
        if rest:
            yield from walk(one, rest)
        else:
            yield one


def _json_list(raw: object) -> list[Body]:
    if not isinstance(raw, str) or len(raw) > 64 * 1024:
        return []
    try:
        return entries(json.loads(raw))
    except (ValueError, RecursionError):
        return []
