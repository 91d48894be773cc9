"""What a custom resource names and writes by the way its fields are called, where no table knows its kind.

Decides which fields of an unknown kind are references: `…Ref` and `…Refs` with a name in them, `…Name` of a kind that
was recorded; and which of them say that the object writes what they name (`writeConnectionSecretToRef`,
`outputSecretName`, `status.binding`). Fields that lead back to whoever asked (`claimRef`) are none. Follows only
Secrets, ConfigMaps and other custom resources: what a policy is aimed at it does not need.

Rests on: kubernetes.io, API conventions, "Object references"; docs.crossplane.io (connection details, claims);
servicebinding.io, "Provisioned Service".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from services.context_api.domain.kube import is_custom, mapping, text
from services.context_api.domain.snapshot import KubeObject

_BACK = frozenset({"claim", "owner", "composite", "parent", "target", "scaletarget", "workload", "creator", "involvedobject"})  # fmt: skip
"""Stems of references to whoever asked for the object, or to what it is merely about."""

_WRITES = re.compile(
    r"^(?:write|output|publish|target|destination|generated|created)\w*(secret|configmap)|(secret|configmap)s?(?:target|output|to(?:ref)?)$",
    re.IGNORECASE,
)
_STATUS = re.compile(r"^(?:binding|secret|secretname|secretref|credentialssecret|connectionsecret)$", re.IGNORECASE)  # fmt: skip
"""Fields of a status that tell which Secret was written."""

_STEM = re.compile(r"^(\w+?)(?:Refs?|References?|Name)$")
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
DEEPEST = 7
MOST = 200
"""References read of one object: no honest one has as many."""


@dataclass(frozen=True, slots=True)
class Named:
    """One object that a field names."""

    kind: str
    namespace: str | None
    name: str
    where: str
    makes: bool = False


def named(obj: KubeObject, kinds: Collection[str]) -> list[Named]:
    """What the fields of a custom resource name, `kinds` being those that were recorded."""
    if not is_custom(obj):
        return []
    known = {"secret": "Secret", "configmap": "ConfigMap", **{k.lower(): k for k in kinds}}
    found = [one for one, _ in zip(_walk(obj, obj.spec, "spec", known, 0), range(MOST), strict=False)]
    for key, value in obj.status.items():
        if isinstance(key, str) and _STATUS.match(key):
            name = text(mapping(value).get("name")) or text(value)
            if name:
                found.append(Named("Secret", obj.namespace, name, f"status.{key}", makes=True))
    return found


def _walk(obj: KubeObject, value: object, path: str, known: Mapping[str, str], depth: int) -> Iterator[Named]:
    if isinstance(value, list):
        for entry in value[:MOST]:
            yield from _walk(obj, entry, path, known, depth + 1)
    elif depth < DEEPEST and isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(key, str):
                yield from _field(obj, key, inner, f"{path}.{key}", known)
                yield from _walk(obj, inner, f"{path}.{key}", known, depth + 1)


def _field(obj: KubeObject, key: str, value: object, path: str, known: Mapping[str, str]) -> Iterator[Named]:
    writes = _WRITES.search(key)
    stem = _STEM.match(key)
    if writes is None and (stem is None or stem[1].lower() in _BACK):
        return
    for one in value if isinstance(value, list) else [value]:
        entry = mapping(one)
        name = text(entry.get("name")) or ("" if entry else text(one))
        kind = text(entry.get("kind"))
        if not name:
            continue
        if writes is not None and not kind:
            kind = known[(writes[1] or writes[2]).lower()]
        kind = kind or (_kind_of(stem[1], known) if stem is not None else "")
        if kind in ("Secret", "ConfigMap") or (kind and kind in known.values() and kind not in _BUILTIN):
            yield Named(kind, text(entry.get("namespace")) or obj.namespace, name, path, makes=writes is not None)  # fmt: skip


_BUILTIN = frozenset(
    {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod", "Service", "Node", "Namespace", "ServiceAccount",
     "PersistentVolumeClaim", "PersistentVolume", "Role", "ClusterRole", "CustomResourceDefinition", "PriorityClass", "RuntimeClass"}
)  # fmt: skip


def _kind_of(stem: str, known: Mapping[str, str]) -> str:
    """`providerConfig` → ProviderConfig, `clientSecret` → Secret: the longest end of the stem that is a kind."""
    words = _WORD.findall(stem)
    for start in range(len(words)):
        kind = known.get("".join(words[start:]).lower())
        if kind:
            return kind
    return ""
