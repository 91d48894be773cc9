"""Changes to a whole incident that must not change its answer, and takings-away that must be owned up to.

Knows nothing of analyzers: a snapshot goes in, a snapshot of the same story comes out. New names are spelled like
the old ones (letters are exchanged for others), so that what was nearly alike stays nearly alike.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from libs.contracts.causes import CausesAnswer
from libs.contracts.target import Target
from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import pod_spec, text
from services.context_api.domain.references import references
from services.context_api.domain.resolve import resolve_in
from services.context_api.domain.snapshot import KubeObject, Snapshot
from services.context_api.domain.triage import find_causes
from tests.support.kube import Doc, config_map, deployment, kube, service


@dataclass(frozen=True)
class Case:
    """A snapshot and what is asked about it: an alert's labels, or an object, or the whole cluster."""

    snapshot: Snapshot
    labels: Mapping[str, str] | None = None
    target: Target | None = None
    onset: datetime | None = None

    def answer(self) -> CausesAnswer:
        graph = Graph(self.snapshot)
        target = resolve_in(graph, self.labels).target if self.labels is not None else self.target
        return find_causes(self.snapshot, target=target, onset=self.onset, graph=graph, broken=_raised)


def _raised(_name: str, error: Exception) -> None:
    raise error


# -- other names ------------------------------------------------------------------------------------

_VOWELS, _OTHERS, _DIGITS = "aeiou", "bcdfghjklmnpqrstvwxyz", "0123456789"
_LETTERS = str.maketrans(
    _VOWELS + _OTHERS, _VOWELS[2:] + _VOWELS[:2] + _OTHERS[7:] + _OTHERS[:7]
)  # digits stay: `db-0` is the first pod of `db` by its number

KEPT = frozenset(
    {
        "default", "kube-system", "kube-public", "kube-node-lease", "kubernetes", "kube-dns", "coredns",
        "kube-root-ca.crt", "openshift-dns", "dns-default", "openshift-service-ca.crt",
        "system-cluster-critical", "system-node-critical", "cert-manager",
    }
)  # fmt: skip
"""Names that the system itself gives and whose meaning is documented; nobody can rename these."""

_SPELLED = frozenset(
    {"kind", "apiVersion", "reason", "type", "uid", "fieldsType", "phase", "provisioner", "manager"}
)
"""Fields whose value is a word of the API, a program's name for itself, or an identifier that is nobody's name."""

_SCHEMA = re.compile(r"(?:f:)?[A-Za-z]+|[.]")


def spelled_otherwise(name: str) -> str:
    """`orders-db` with other letters; as long, with the same dashes, numbers and likenesses."""
    return name.translate(_LETTERS)


def _named(snapshot: Snapshot) -> set[str]:
    """Names of all objects, and those that pods refer to though nobody bears them."""
    found: set[str] = set()
    for obj in snapshot.objects:
        found |= {obj.name, obj.namespace or ""}
        found |= {r.name for r in references(pod_spec(obj))}
        found |= {text(o.get("name")) for o in obj.owners}
    return {name for name in found if re.fullmatch(r"[a-z0-9][a-z0-9.:-]*", name)} - KEPT


def _with_edges(names: Sequence[str]) -> re.Pattern[str]:
    return re.compile(
        rf"(?<![A-Za-z0-9_])(?:{'|'.join(map(re.escape, names))})(?![A-Za-z0-9_])" if names else r"(?!)"
    )


class Renaming:
    """Every object and namespace of a snapshot under another name, in every text that speaks of it."""

    def __init__(self, snapshot: Snapshot) -> None:
        roots: list[str] = []
        # What begins with (or holds) a shorter name as a word of its own is renamed along with it.
        for name in sorted(_named(snapshot), key=lambda n: (len(n), n)):
            if not _with_edges(roots).search(name) and any(c.isalpha() for c in name):
                roots.append(name)
        self._roots = _with_edges(sorted(roots, key=len, reverse=True))
        self._kept = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, sorted(KEPT)))})(?![\w-])")

    def words(self, words: str) -> str:
        pieces, here = [], 0
        for kept in self._kept.finditer(words):
            pieces += [self._other(words[here : kept.start()]), kept[0]]
            here = kept.end()
        return "".join([*pieces, self._other(words[here:])])

    def _other(self, words: str) -> str:
        return self._roots.sub(lambda found: spelled_otherwise(found[0]), words)

    def key(self, key: str) -> str:
        """A field's name is the API's; a file's name in a ConfigMap is a person's."""
        return key if _SCHEMA.fullmatch(key) else self.words(key)

    def value(self, value: Any, field: str = "") -> Any:
        if isinstance(value, dict):
            return {self.key(k): self.value(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [self.value(v, field) for v in value]
        if not isinstance(value, str) or field in _SPELLED:
            return value
        if field == "key":
            return self.key(value)
        if value.startswith("{"):
            try:
                return json.dumps(self.value(json.loads(value)), separators=(",", ":"))
            except ValueError:
                return self.words(value)
        return self.words(value)

    def object(self, obj: KubeObject) -> KubeObject:
        return replace(
            obj,
            name=self.words(obj.name),
            namespace=self.words(obj.namespace) if obj.namespace else None,
            body=self.value(obj.body),
        )

    def case(self, case: Case) -> Case:
        taken = case.snapshot
        return Case(
            replace(
                taken,
                objects=[self.object(o) for o in taken.objects],
                events=[self.object(e) for e in taken.events],
                logs=[
                    replace(
                        g,
                        namespace=self.words(g.namespace),
                        pod=self.words(g.pod),
                        container=self.words(g.container),
                        text=self.words(g.text),
                    )
                    for g in taken.logs
                ],
                metrics=[
                    replace(m, query=self.words(m.query), data=self.value(m.data)) for m in taken.metrics
                ],
            ),
            {k: self.words(v) for k, v in case.labels.items()} if case.labels is not None else None,
            self.target(case.target) if case.target is not None else None,
            case.onset,
        )

    def target(self, target: Target) -> Target:
        return target.model_copy(
            update={
                "name": self.words(target.name),
                "namespace": self.words(target.namespace) if target.namespace else None,
            }
        )


# -- another order, a crowd -------------------------------------------------------------------------


def shuffled(case: Case, seed: int) -> Case:
    """The same evidence in another order."""
    dice, taken = random.Random(seed), case.snapshot

    def mixed(items: Sequence[Any]) -> list[Any]:
        return dice.sample(items, len(items))

    return replace(
        case,
        snapshot=replace(
            taken,
            objects=mixed(taken.objects),
            events=mixed(taken.events),
            logs=mixed(taken.logs),
            metrics=mixed(taken.metrics),
        ),
    )


_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
"""Before every recording of the corpus: what is younger than its recording would not be healthy."""


def bystanders(count: int) -> list[KubeObject]:
    """Healthy Deployments with pods, Services and ConfigMaps in namespaces of their own."""
    made: list[KubeObject] = []
    number = 0
    while len(made) < count:
        name, space = f"bystander-{number}", f"elsewhere-{number % 40}"
        docs: list[Doc] = [
            *deployment(name, space, node=f"far-{number % 50}"),
            *service(name, space, ready=2),
            config_map(f"{name}-settings", space, data={"LEVEL": "info", "PEER": f"http://{name}:80"}),
        ]
        made += [kube(_old(doc)) for doc in docs]
        number += 1
    return made[:count]


def _old(value: Any) -> Any:
    """The document as it stood long ago: every time in it is the same one."""
    if isinstance(value, dict):
        return {
            k: _LONG_AGO.strftime("%Y-%m-%dT%H:%M:%SZ") if _is_time(k, v) else _old(v)
            for k, v in value.items()
        }
    return [_old(v) for v in value] if isinstance(value, list) else value


def _is_time(key: str, value: object) -> bool:
    return isinstance(value, str) and key.endswith(("Time", "Timestamp", "At"))


def crowded(case: Case, crowd: Sequence[KubeObject]) -> Case:
    return replace(case, snapshot=replace(case.snapshot, objects=[*case.snapshot.objects, *crowd]))


# -- evidence taken away ----------------------------------------------------------------------------


def without_edits(case: Case) -> Case:
    """As `kubectl get -o yaml` prints it: without managedFields."""

    def bare(obj: KubeObject) -> KubeObject:
        meta = {k: v for k, v in obj.metadata.items() if k != "managedFields"}
        return replace(obj, body={**obj.body, "metadata": meta})

    return replace(case, snapshot=replace(case.snapshot, objects=[bare(o) for o in case.snapshot.objects]))


def without_events(case: Case) -> Case:
    return replace(case, snapshot=replace(case.snapshot, events=()))


def without_logs(case: Case) -> Case:
    return replace(case, snapshot=replace(case.snapshot, logs=()))


LESS: Mapping[str, Callable[[Case], Case]] = {
    "managedFields": without_edits,
    "events": without_events,
    "logs": without_logs,
}
"""By the word with which an answer owns up that this kind of evidence is missing."""
