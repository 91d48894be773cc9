"""Show the objects of one resource in one namespace, within a bounded answer.

Decides which objects are meant, what of them is shown and where the answer is cut. Secret values are taken out;
a Secret itself has none (they are dropped when a recording is read).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from libs.contracts.context import KubernetesContext
from libs.contracts.target import CLUSTER_SCOPE
from services.context_api.domain.errors import UnknownObject
from services.context_api.domain.redact import GONE, redact, sensitive, value_of
from services.context_api.domain.selector import Selector
from services.context_api.domain.snapshot import KubeObject, Snapshot
from services.context_api.domain.words import kind_meant

LARGEST_ANSWER = 256 * 1024
"""Bytes of JSON for all objects together: about 60 pods, and more than any model reads."""

LONGEST_TEXT = 4 * 1024
"""Characters of one text. A ConfigMap's file of a megabyte is read elsewhere."""

GAPS = 20
"""Entries of `not_looked_at` that are repeated here."""

_LEFT_OUT = ("kubectl.kubernetes.io/last-applied-configuration",)


def listing(
    snapshot: Snapshot,
    namespace: str | None,
    resource: str,
    selector: Selector,
    room: int = LARGEST_ANSWER,
) -> KubernetesContext:
    """Objects of a kind (`pods`, `deploy`), or the objects that have the name `resource`, in `room` bytes.

    Raises:
        UnknownObject: no kind and no object is called that.
    """
    kind = kind_meant(resource, snapshot.kinds)
    found = [item for item in _candidates(snapshot, kind, resource) if item.namespace == namespace]
    if kind is None and not found:
        raise UnknownObject(f"kind or object called {resource} in {namespace or CLUSTER_SCOPE}")
    matching = [item for item in found if selector.matches(item.labels)]
    items, cut = _fit(matching, room)
    return KubernetesContext(
        namespace=namespace or CLUSTER_SCOPE,
        resource=resource,
        labels=selector.equalities or None,
        context={
            "kind": kind,
            "items": items,
            "total": len(matching),
            "cut": cut,
            "snapshot_at": snapshot.captured_at,
            "not_looked_at": [str(gap) for gap in snapshot.not_read[:GAPS]],
        },
        timestamp=snapshot.captured_at,
    )


def _candidates(snapshot: Snapshot, kind: str | None, resource: str) -> Sequence[KubeObject]:
    if kind == "Event":
        return snapshot.events
    if kind is not None:
        return list(snapshot.of_kind(kind))
    return [item for item in snapshot.objects if item.name == resource]


def _fit(objects: Sequence[KubeObject], room: int) -> tuple[list[dict[str, Any]], str | None]:
    """As many as the answer holds, in order; the cut says how many are missing and why."""
    items: list[dict[str, Any]] = []
    left = room
    for item in objects:
        body = shown(item)
        left -= len(orjson.dumps(body))
        if left < 0:
            return (
                items,
                f"{len(items)} of {len(objects)} shown: the answer is limited to {room} bytes; narrow it by labels",
            )
        items.append(body)
    return items, None


def shown(item: KubeObject) -> dict[str, Any]:
    """The object without what only controllers read, and without what may be a secret."""
    metadata = {key: value for key, value in item.metadata.items() if key != "managedFields"}
    if item.annotations:
        metadata["annotations"] = {k: v for k, v in item.annotations.items() if k not in _LEFT_OUT}
    body: dict[str, Any] = _clean({**item.body, "metadata": metadata})
    return body


def _clean(value: Any, name: str = "") -> Any:
    if isinstance(value, str):
        return _short(value_of(name, value))
    if isinstance(value, Mapping):
        return _clean_mapping(value)
    if isinstance(value, list):
        return [_clean(item, name) for item in value]
    return value


def _clean_mapping(value: Mapping[str, Any]) -> dict[str, Any]:
    """An entry `{name: DB_PASSWORD, value: …}` is judged by its name; elsewhere the key says what a text is."""
    named = value.get("name")
    if isinstance(named, str) and isinstance(value.get("value"), str) and sensitive(named):
        value = {**value, "value": GONE}
    return {key: _clean(item, "" if _is_reference(key) else key) for key, item in value.items()}


def _is_reference(key: str) -> bool:
    """`secretName: db`, `key: password`: names of things, and not the things."""
    return key == "key" or key.lower().endswith(("name", "ref"))


def _short(text: str) -> str:
    text = redact(text)
    return (
        text
        if len(text) <= LONGEST_TEXT
        else f"{text[:LONGEST_TEXT]}… [{len(text) - LONGEST_TEXT} characters cut]"
    )
