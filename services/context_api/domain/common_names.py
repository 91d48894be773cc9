"""Names that one program's log says and somebody else's settings name: a topic, a table, a feature view, an address.

Decides which words of a line are such names, and which workloads and platform objects name the same. Two that name one
thing meet there, though neither calls the other; what follows from it is the analyzers' business.
A word is a name where it has a sign within (`orders.placed`, `closing_rates`, `203.0.113.47`), or where the line says
what it is (`topic letters`). Names of the cluster's own things (Services, pods, workloads, namespaces) are none: other
ways lead there. So is what more than `MOST` name: it tells nobody apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import entries, is_custom, leaves, text
from services.context_api.domain.queues import settings
from services.context_api.domain.snapshot import KubeObject

MOST = 4
"""Owners that name one thing. A guess: producers and consumers of one topic are few, readers of a common host are many."""

SHORTEST = 5
MOST_WORDS = 200
"""Names of one line that are looked for."""

_LONGEST = 64 * 1024
_WORD = re.compile(r"(?<![\w.@-])[A-Za-z0-9][\w.-]{2,78}[A-Za-z0-9](?![\w@-])", re.ASCII)
_CALLED = re.compile(
    r"\b(?:topic|queue|stream|subject|exchange|channel|table|relation|collection|bucket|index|view|dataset|model|feature|"
    r"keyspace|schema)\b[\s:='\"`]{1,3}([\w.-]{3,80})",
    re.IGNORECASE | re.ASCII,
)
_SIGN = re.compile(r"[A-Za-z0-9][_.-][A-Za-z0-9]|[a-z]\d|[a-z][A-Z]")
_NO_NAME = re.compile(
    r"[\d.:,-]*[a-zA-Z]{0,3}|\d{4}-\d\d-\d\d.*|v?\d+(?:\.\d+)+(?:[-+]\w+)?|[0-9a-f]{8,}|.*\.(?:go|py|java|rb|js|ts|kt|php|rs|c|cpp)",
)
"""Numbers, dates, versions, hashes, durations and sizes, files of programs."""

_ADDRESS = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}")
_PART = re.compile(r"[-_.]\d{1,4}$")
_SPLIT = re.compile(r"[\s,;|/\"'`=()\[\]{}<>]+")


@dataclass(frozen=True, slots=True)
class Naming:
    """Who names a thing, and where."""

    holder: KubeObject
    """A workload, or a platform's object."""
    where: str


def names_in(line: str) -> Iterator[str]:
    """Names that a line says, each once; of a part (`orders.placed-3`) what it is a part of as well."""
    found: dict[str, None] = {}
    for word in (
        *_CALLED.findall(line),
        *(w for w in _WORD.findall(line) if _SIGN.search(w) or _ADDRESS.fullmatch(w)),
    ):
        for name in (word, _PART.sub("", word)):
            plain = _NO_NAME.fullmatch(name) and not _ADDRESS.fullmatch(name)
            if len(name) >= SHORTEST and not plain and len(found) < MOST_WORDS:
                found[name] = None
    yield from found  # fmt: skip


def own_names(graph: Graph) -> Set[str]:
    """What the cluster's own things are called, and their addresses: a log says these for reasons of its own."""
    found = set(graph.names.namespaces)
    for obj in (*graph.workloads, *graph.pods, *graph.of_kind("Service", "Node", "Ingress")):
        found |= {obj.name, text(obj.status.get("podIP")), text(obj.spec.get("clusterIP"))}
        found.update(text(one.get("address")) for one in entries(obj.status.get("addresses")))
    return found - {""}


def namings(graph: Graph, wanted: Set[str]) -> Mapping[str, list[Naming]]:
    """Who names each of these things as a whole value, or as one of several in a value; nobody where it is too many."""
    found: dict[str, dict[int, Naming]] = {}
    for holder, where, value in _said(graph) if wanted else ():
        for name in wanted & set(_SPLIT.split(value[:_LONGEST])) if value else ():
            found.setdefault(name, {}).setdefault(id(holder), Naming(holder, where))
    return {name: list(several.values()) for name, several in found.items() if len(several) <= MOST}


def _said(graph: Graph) -> Iterator[tuple[KubeObject, str, str]]:
    """(who, where, value) of every setting of a workload and every field of a platform's object."""
    for workload in graph.workloads:
        for key, value in settings(graph, workload):
            yield graph.top(workload), key, value
    for obj in graph.snapshot.objects:
        if is_custom(obj):
            for path, value in leaves(obj.spec, "spec"):
                yield obj, path, value
