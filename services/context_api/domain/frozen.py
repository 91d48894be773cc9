"""The evidence of one incident, to be kept: a snapshot that gives the same causes, without secret values.

Decides what of a large cluster belongs to an incident (the namespaces the alert's object leads to, those of the causes,
and all that has no namespace) and what is hidden: what every other answer hides, by the same rules. A small cluster is
kept whole: what is missing somewhere (a grant, a Secret that another namespace should hold) is also evidence. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.context_api.domain.excerpt import without_keys
from services.context_api.domain.kube import harmless, text
from services.context_api.domain.redact import GONE, redact, sensitive, value_of
from services.context_api.domain.snapshot import ContainerLog, KubeObject, MetricAnswer, NotRead, Snapshot
from services.context_api.domain.triage import Judged

WHOLE = 5_000
"""Objects up to which nothing is left out: some 2 MB packed. In 3 of 105 incidents a narrowed snapshot lost the cause."""

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def frozen(judged: Judged) -> Snapshot:
    """What was judged, narrowed to the namespaces of the incident and without secret values."""
    snapshot = judged.scene.snapshot
    everywhere = {o.namespace for o in (*snapshot.objects, *snapshot.events) if o.namespace}
    everywhere |= {log.namespace for log in snapshot.logs}
    inside = everywhere if len(snapshot.objects) <= WHOLE else _namespaces(judged)
    left = everywhere - inside
    gaps = (*snapshot.not_read, *_left_out(left))
    return replace(
        snapshot,
        objects=tuple(_clean(o) for o in snapshot.objects if o.namespace is None or o.namespace in inside),
        events=tuple(_clean(e) for e in snapshot.events if _about(e) in inside | {None}),
        logs=tuple(_clean_log(log) for log in snapshot.logs if log.namespace in inside),
        metrics=tuple(_clean_metric(answer) for answer in snapshot.metrics),
        not_read=gaps,
    )


def _namespaces(judged: Judged) -> set[str]:
    objects = [*judged.relations.objects(), *(one.observation.about for one in judged.ranked)]
    found = {o.namespace for o in objects if o.namespace}
    found |= {o.name for o in objects if o.kind == "Namespace"}
    if judged.target is not None and judged.target.namespace:
        found.add(judged.target.namespace)
    return found


def _left_out(namespaces: set[str]) -> tuple[NotRead, ...]:
    if not namespaces:
        return ()
    return (
        NotRead(f"{len(namespaces)} other namespaces", "left out: nothing led from the incident to them"),
    )


def _about(event: KubeObject) -> str | None:
    """The namespace of whom it is about; events about nodes lie in `default` and are of the cluster."""
    about = event.body.get("involvedObject") or event.body.get("regarding")
    return (text(about.get("namespace")) or None) if isinstance(about, Mapping) else event.namespace


def _clean(item: KubeObject) -> KubeObject:
    body: dict[str, Any] = cleaned(item.body)
    return replace(item, body=body)


def cleaned(value: Any, name: str = "") -> Any:
    """A copy without secret values; an entry `{name: DB_PASSWORD, value: …}` is judged by its name."""
    if isinstance(value, str):
        return _applied(value) if name == LAST_APPLIED else value_of(name, harmless(value))
    if isinstance(value, Mapping):
        label = value.get("name")
        hidden = isinstance(label, str) and sensitive(label) and isinstance(value.get("value"), str)
        return {
            key: GONE if hidden and key == "value" else cleaned(entry, "" if _is_reference(key) else key)
            for key, entry in value.items()
        }
    return [cleaned(entry, name) for entry in value] if isinstance(value, list) else value


def _is_reference(key: str) -> bool:
    """`secretName: db`, `key: password`, `f:token`: names of things, and not the things."""
    return key == "key" or key.startswith("f:") or key.lower().endswith(("name", "ref"))


def _applied(text_: str) -> str:
    """What `kubectl apply` sent, which holds every value a second time."""
    try:
        return json.dumps(cleaned(json.loads(text_)), separators=(",", ":"))
    except (ValueError, RecursionError):
        return GONE


def _clean_log(log: ContainerLog) -> ContainerLog:
    lines = [redact(harmless(line)) for line in without_keys(log.text.splitlines())]
    return replace(log, text="\n".join(lines) + "\n" if lines else "")


def _clean_metric(answer: MetricAnswer) -> MetricAnswer:
    return replace(answer, data=cleaned(answer.data))
