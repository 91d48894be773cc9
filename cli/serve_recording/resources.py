"""Which kinds a recording serves, and what they are called. Pure.

Names come from the recording where it tells them (a discovery document, a CustomResourceDefinition), else from the
table of built-in kinds, else from the rule that generators of custom kinds follow. A kind is served in the versions
its objects were recorded in: nothing is converted, except that an event of events.k8s.io is one of core/v1 too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from services.context_api.domain.kinds import BUILT_IN, GROUP_ORDER, KINDS, plural_of
from services.context_api.domain.kube import at, entries, mapping, strings, text
from services.context_api.domain.snapshot import Body, KubeObject, Snapshot

DISCOVERY_GROUP = "apidiscovery.k8s.io"
"""`kubectl get --raw /apis` in its newer form is a list of these; they tell of kinds and are none themselves."""

_WORD = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_GROUP = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")
_VERSION = re.compile(r"v([0-9]{1,9})(?:(alpha|beta)([0-9]{1,9}))?")
_STAGE = {"alpha": 0, "beta": 1, None: 2}


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind in one version, as discovery tells of it."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    short: Sequence[str] = ()
    categories: Sequence[str] = ()
    columns: Sequence[Body] | None = None
    """`additionalPrinterColumns` of its definition; None where none was recorded."""
    selectable: Sequence[str] = ()
    """Fields of its own that one may select by."""
    recorded: bool = True
    """False: a kind every cluster has, or has a definition of, of which the recording holds no object."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> tuple[str, str, str]:
        return self.group, self.version, self.plural

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


@dataclass(frozen=True, slots=True)
class _Told:
    """What is known of a kind's names."""

    plural: str
    singular: str
    namespaced: bool
    short: Sequence[str] = ()
    categories: Sequence[str] = ()
    versions: Sequence[str] = ()
    of_version: Mapping[str, tuple[Sequence[Body], Sequence[str]]] = field(default_factory=dict)
    """Version -> (printer columns, selectable fields)."""


def resources_of(snapshot: Snapshot) -> Sequence[Resource]:
    """In an API server's order: built-in groups first, of each group the preferred version first.

    No two have the same group, version and plural.
    """
    seen = Counter((item.group, item.kind, version_of(item)) for item in _served(snapshot))
    scopes = _scopes(_served(snapshot))
    told = _told(snapshot)
    if any(event.group for event in snapshot.events):
        seen["", "Event", "v1"] += 1
    if any(item.namespace for item in _served(snapshot)) or snapshot.logs:
        seen["", "Namespace", "v1"] += 1  # those that were not recorded are told of all the same
    wanted = {(group, kind) for group, kind, _ in seen} | told.keys() | _usual()
    made: dict[tuple[str, str, str], Resource] = {}
    for group, kind in sorted(wanted, key=_rank):
        names = told.get((group, kind)) or _known(group, kind, namespaced=scopes.get((group, kind), True))
        recorded = {version: count for (g, k, version), count in seen.items() if (g, k) == (group, kind)}
        for version in _in_order(recorded) or names.versions:
            columns, selectable = names.of_version.get(version, (None, ()))
            one = Resource(
                group, version, kind, names.plural, names.singular, names.namespaced, names.short,
                names.categories if recorded else (), columns, selectable, bool(recorded),
            )  # fmt: skip
            made.setdefault(one.key, one)
            if made[one.key] is not one:
                # Two kinds with one plural: hostile or broken, and still both can be looked at.
                one = _renamed(one, made)
                made[one.key] = one
    return list(made.values())


def version_of(item: KubeObject) -> str:
    return item.api_version.rpartition("/")[2]


def is_served(item: KubeObject) -> bool:
    return item.group != DISCOVERY_GROUP


def _served(snapshot: Snapshot) -> Iterator[KubeObject]:
    return (item for item in (*snapshot.objects, *snapshot.events) if is_served(item))


def _usual() -> set[tuple[str, str]]:
    return {(one.group, one.kind) for one in KINDS if one.usual and not one.group.endswith(".openshift.io")}


def _scopes(items: Iterable[KubeObject]) -> Mapping[tuple[str, str], bool]:
    """Whether any object of the kind lies in a namespace."""
    scopes: dict[tuple[str, str], bool] = {}
    for item in items:
        key = (item.group, item.kind)
        scopes[key] = scopes.get(key, False) or item.namespace is not None
    return scopes


def _told(snapshot: Snapshot) -> Mapping[tuple[str, str], _Told]:
    """What the recording itself says: a discovery document has the first word, columns stand in definitions alone."""
    defined = _defined(snapshot)
    discovered = {
        key: replace(one, of_version=defined[key].of_version) if key in defined else one
        for key, one in _discovered(snapshot).items()
    }
    return {**defined, **discovered}


def _known(group: str, kind: str, *, namespaced: bool) -> _Told:
    """By the table, else by the rule; an older group's kind (`extensions` Ingress) by the rule too."""
    one = BUILT_IN.get((group, kind))
    if one is None:
        return _Told(plural_of(kind), kind.lower(), namespaced)
    return _Told(
        one.plural, kind.lower(), one.namespaced, one.short, ("all",) if one.in_all else (), (one.version,)
    )


def _defined(snapshot: Snapshot) -> Mapping[tuple[str, str], _Told]:
    """By the recorded CustomResourceDefinitions."""
    told: dict[tuple[str, str], _Told] = {}
    for definition in snapshot.of_kind("CustomResourceDefinition"):
        spec = definition.spec
        names, group = mapping(spec.get("names")), text(spec.get("group"))
        kind, plural = text(names.get("kind")), text(names.get("plural"))
        if not _GROUP.fullmatch(group) or not _KIND.fullmatch(kind) or not _WORD.fullmatch(plural):
            continue
        versions = _versions(spec)
        told[group, kind] = _Told(
            plural,
            _word(names.get("singular")) or kind.lower(),
            text(spec.get("scope")) != "Cluster",
            _words(names.get("shortNames")),
            _words(names.get("categories")),
            _in_order(dict.fromkeys(versions, 0)),
            versions,
        )
    return told


def _versions(spec: Body) -> Mapping[str, tuple[Sequence[Body], Sequence[str]]]:
    """The served ones; apiextensions v1beta1 has one version and its columns at the top."""
    found = entries(spec.get("versions")) or [{"name": spec.get("version"), "served": True}]
    return {
        text(one.get("name")): (
            entries(one.get("additionalPrinterColumns") or spec.get("additionalPrinterColumns")),
            [text(f.get("jsonPath")).removeprefix(".") for f in entries(one.get("selectableFields"))],
        )
        for one in found
        if one.get("served") is not False and _word(one.get("name"))
    }


def _discovered(snapshot: Snapshot) -> Mapping[tuple[str, str], _Told]:
    """By a recorded discovery document, of the kinds whose objects are here; the others were never listed."""
    held = {(item.group, item.kind) for item in snapshot.objects}
    told: dict[tuple[str, str], _Told] = {}
    for document in snapshot.objects:
        if document.group != DISCOVERY_GROUP:
            continue
        for version in entries(document.body.get("versions")):
            for raw in entries(version.get("resources")):
                kind, plural = text(at(raw, "responseKind", "kind")), text(raw.get("resource"))
                if (document.name, kind) in held and _WORD.fullmatch(plural):
                    told.setdefault((document.name, kind), _of_discovery(raw, plural, kind))
    return told


def _of_discovery(raw: Body, plural: str, kind: str) -> _Told:
    return _Told(
        plural,
        _word(raw.get("singularResource")) or kind.lower(),
        text(raw.get("scope")) != "Cluster",
        _words(raw.get("shortNames")),
        _words(raw.get("categories")),
    )


def _word(value: object) -> str:
    """What may be a name in a path; a recording may come from anybody."""
    word = text(value)
    return word if _WORD.fullmatch(word) else ""


def _words(value: object) -> Sequence[str]:
    return [word for word in strings(value) if _WORD.fullmatch(word)]


def _renamed(one: Resource, taken: Mapping[tuple[str, str, str], Any]) -> Resource:
    number = 2
    while (one.group, one.version, f"{one.plural}{number}") in taken:
        number += 1
    return Resource(
        one.group, one.version, one.kind, f"{one.plural}{number}", f"{one.singular}{number}", one.namespaced,
        columns=one.columns, selectable=one.selectable, recorded=one.recorded,
    )  # fmt: skip


def _rank(one: tuple[str, str]) -> tuple[int, str, str]:
    group, kind = one
    return GROUP_ORDER.get(group, len(GROUP_ORDER)), group, kind


def _in_order(versions: Mapping[str, int]) -> Sequence[str]:
    """The version with most objects first, then as Kubernetes prefers: stable before beta, newer before older."""
    return sorted(versions, key=lambda version: (-versions[version], _age(version), version))


def _age(version: str) -> tuple[int, int, int]:
    found = _VERSION.fullmatch(version)
    if found is None:
        return 3, 0, 0
    return -_STAGE[found[2]], -int(found[1]), -int(found[3] or 0)
