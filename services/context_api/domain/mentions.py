"""Which recorded objects the words of an error mean: by their names, by what only they declare, or by their kind.

Decides only who is meant. A name counts where it is quoted, is a compound that does not stand in a text by chance, or
follows a word of its kind; of namespaced objects those of the speaker's namespace, or of one that the words name. What
an object declares (the name of a webhook, a host, a limit) means it where hardly anybody else declares the same. Pods,
nodes and what controllers write all the time are meant in every second message, and are left out.

Rests on: kubernetes.io/docs, "Object Names and IDs"; API conventions (messages quote names and values).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import WORKLOADS, leaves
from services.context_api.domain.snapshot import KubeObject

PASSING = frozenset(
    {"Pod", "ReplicaSet", "ReplicationController", "ControllerRevision", "Endpoints", "EndpointSlice", "Lease", "Event",
     "Node", "Namespace", "CustomResourceDefinition", "APIService", "PriorityLevelConfiguration", "FlowSchema",
     "IPAddress", "ServiceCIDR"}
)  # fmt: skip
"""Kinds that messages name in passing."""

_SILENT = WORKLOADS | PASSING | {"Secret", "ConfigMap", "Service", "ServiceAccount", "PersistentVolume", "PersistentVolumeClaim",
                                 "ClusterRole", "ClusterRoleBinding"}  # fmt: skip
"""Kinds whose fields are read by others, or that declare what is common to many."""

_NAMESAKES = WORKLOADS | {"Service", "Ingress", "PersistentVolumeClaim"}
"""Kinds of which one often bears the speaker's own name, so that its name means the speaker."""

_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_QUOTED = re.compile(r"[\"'`]([^\"'`\s]{2,253})[\"'`]")
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\d+(?:-\d+)+|\d+(?:\.\d+){3}")
_HUMPS = re.compile(r"[A-Z][a-z]+|[A-Z]+(?![a-z])")

MOST_WORDS = 300
LONGEST = 12_000
FEW = 3
"""Objects that may declare the same for it to mean one of them."""

SHORT = 6
"""Letters from which on a compound stands in no text by chance; shorter values count within their namespace."""

BY_NAME, BY_VALUE, BY_KIND = 0.8, 0.65, 0.5


@dataclass(frozen=True, slots=True)
class Mention:
    """One object that is meant, how surely, and by which word."""

    obj: KubeObject
    strength: float
    word: str
    how: str
    by_kind: bool = False
    """Only its kind is spoken of."""


class Mentions:
    """Names and declared values by object; the indexes are built when first asked for."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    @cached_property
    def _named(self) -> dict[str, list[KubeObject]]:
        index: dict[str, list[KubeObject]] = {}
        for obj in self._graph.snapshot.objects:
            if obj.kind not in PASSING:
                index.setdefault(obj.name, []).append(obj)
        return index

    @cached_property
    def _declared(self) -> dict[str, dict[int, tuple[KubeObject, str]]]:
        index: dict[str, dict[int, tuple[KubeObject, str]]] = {}
        for obj in self._graph.snapshot.objects:
            if obj.kind in _SILENT and obj.kind != "Node":  # a node's taints are its own
                continue
            for part, value in obj.body.items():
                if part in ("apiVersion", "kind", "metadata", "status"):
                    continue
                for path, words in leaves(value, str(part)):
                    if len(words) <= 200:
                        for word in _WORD.findall(words):
                            if _distinct(word) and word not in self._graph.names.namespaces:
                                index.setdefault(word, {}).setdefault(id(obj), (obj, path))
        return index

    @cached_property
    def _kinds(self) -> dict[str, str]:
        """Kinds of at least two words, as messages write them: `operatorgroup`, `operatorgroups`; and `buckets.example.com`."""
        found: dict[str, str] = {}
        for obj in self._graph.snapshot.objects:
            if "." in obj.group and obj.kind not in _SILENT:
                found[f"{_plural(obj.kind)}.{obj.group}"] = obj.kind
        for kind in self._graph.snapshot.kinds:
            if kind not in _SILENT and len(_HUMPS.findall(kind)) > 1:
                found[kind.lower()] = found[_plural(kind)] = kind
        return found

    def of(self, speaker: KubeObject, words: str) -> list[Mention]:
        """Whom the words mean that are said about `speaker`, surest first; never itself or what belongs to it."""
        words = words[:LONGEST].replace('\\"', '"')  # as structured logs quote
        tokens = _WORD.findall(words)
        order = list(dict.fromkeys(tokens))[:MOST_WORDS]
        best: dict[int, Mention] = {}
        own = self._graph.top(speaker)
        for one in self._meant(speaker, words, tokens, order):
            held = best.get(id(one.obj))
            itself = one.obj is speaker or self._graph.top(one.obj) is own
            if not itself and (held is None or held.strength < one.strength):
                best[id(one.obj)] = one
        return sorted(best.values(), key=lambda m: (-m.strength, m.obj.kind, m.obj.name))

    def _meant(
        self, speaker: KubeObject, words: str, tokens: Sequence[str], order: Sequence[str]
    ) -> Iterator[Mention]:
        known, quoted = set(order), set(_QUOTED.findall(words))
        quoted |= {piece for one in quoted for piece in re.split(r"[/:]", one)}
        before: dict[str, set[str]] = {}
        for one, following in itertools.pairwise(tokens):
            before.setdefault(following, set()).add(one.lower().partition(".")[0].rstrip("s"))
        for word in order:
            for obj in self._named.get(word, ()):
                hinted = any(len(hint) >= 4 and hint in obj.kind.lower() for hint in before.get(word, ()))
                if word == speaker.name and obj.kind in _NAMESAKES:
                    continue
                compound = len(word) >= SHORT and _distinct(word) and obj.kind not in WORKLOADS
                if self._here(obj, speaker, known) and (hinted or word in quoted or compound):
                    yield Mention(obj, BY_NAME, word, f"name {obj.kind} {obj.name}")
            declaring = self._declared.get(word, {}) if _distinct(word) else {}
            near = [(obj, path) for obj, path in declaring.values() if self._here(obj, speaker, known)]
            if len(word) < SHORT:
                near = [(obj, path) for obj, path in near if obj.namespace == _place(speaker)]
            for obj, path in near if len(near) <= FEW else ():
                yield Mention(obj, BY_VALUE, word, f"name `{word}`, which is its {path}")
            kind = self._kinds.get(word.lower())
            if kind is not None and kind != speaker.kind:
                same = [o for o in self._graph.snapshot.of_kind(kind) if o.namespace == _place(speaker)]
                for obj in same if len(same) <= FEW else ():
                    yield Mention(obj, BY_KIND, word, f"speak of a {kind}", by_kind=True)

    @staticmethod
    def _here(obj: KubeObject, speaker: KubeObject, known: set[str]) -> bool:
        return obj.namespace is None or obj.namespace == _place(speaker) or obj.namespace in known


def _distinct(word: str) -> bool:
    """Whether a word is a compound or has a figure, and is no mere number, address or time; a version is one."""
    if len(word) < 3 or _NUMBER.fullmatch(word):
        return False
    return any(c in "-._" or c.isdigit() for c in word)


def _plural(kind: str) -> str:
    """As the API server spells the resource of most kinds."""
    lower = kind.lower()
    if lower.endswith("y"):
        return f"{lower[:-1]}ies"
    return f"{lower}es" if lower.endswith(("s", "x", "ch", "sh")) else f"{lower}s"


def _place(speaker: KubeObject) -> str | None:
    """Where what its words name lies, when they do not say it: its namespace, or itself."""
    return speaker.name if speaker.kind == "Namespace" else speaker.namespace
