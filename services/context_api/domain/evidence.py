"""Makes evidence: one observed fact with an id that follows from its content.

Decides what a fact's body is and what is cut or hidden; which facts matter is the analyzers' business.
What grows while nothing changes (restart counts, event counts, times) stands in the summary or in
`observed_at`, not in the hashed body: the same fact keeps its id in every snapshot that shows it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from libs.contracts.evidence import EvidenceItem, EvidenceKind, canonical, content_hash
from libs.contracts.target import Target
from services.context_api.domain.events import Event
from services.context_api.domain.kube import harmless, mapping
from services.context_api.domain.logs import Line, cut, ends
from services.context_api.domain.metrics import Series
from services.context_api.domain.redact import redact, value_of
from services.context_api.domain.snapshot import KubeObject, Snapshot

LONGEST_TEXT = 2000
"""Characters kept of one string inside a body."""

MOST_ENTRIES = 40
"""Entries kept of one list or map inside a body."""

DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Fact:
    """One observed fact, before it is numbered and hashed."""

    kind: EvidenceKind
    about: KubeObject | None
    summary: str
    body: Mapping[str, Any]
    at: datetime | None = None
    entries: int = MOST_ENTRIES
    """Entries kept of each list in the body."""


def field(obj: KubeObject, path: str, value: object, summary: str, at: datetime | None = None) -> Fact:
    """A field of an object as the API server printed it."""
    return Fact(EvidenceKind.object, obj, summary, {"path": path, "value": value}, at)


def event(obj: KubeObject, seen: Event) -> Fact:
    """An event about an object."""
    times = f" (×{seen.count})" if seen.count > 1 else ""
    return Fact(
        EvidenceKind.event,
        obj,
        f"event {seen.reason}{times}: {ends(redact(seen.message))}",
        {
            "reason": seen.reason,
            "message": redact(cut(seen.message, LONGEST_TEXT)),
            "type": seen.type,
            "from": seen.component,
        },
        seen.last,
    )


def log_lines(pod: KubeObject, container: str, lines: list[Line], *, previous: bool) -> Fact:
    """The telling lines of one container's log."""
    which = "previous log" if previous else "log"
    shown = "; ".join(f"{line.text}" + (f" (×{line.count})" if line.count > 1 else "") for line in lines[:3])
    return Fact(
        EvidenceKind.log,
        pod,
        f"{which} of {container}: {cut(shown, 900)}",
        {"container": container, "previous": previous, "lines": [line.text for line in lines]},
    )


def log_line(pod: KubeObject, container: str, line: str, count: int) -> Fact:
    """One line of a container's log, and how often it stands there."""
    times = f" (×{count})" if count > 1 else ""
    return Fact(
        EvidenceKind.log, pod, f"log of {container}: {line}{times}", {"container": container, "lines": [line]}
    )


def excerpt(
    pod: KubeObject, container: str, lines: Sequence[str], *, previous: bool, asked: Mapping[str, Any]
) -> Fact:
    """Lines of one container's log as somebody asked for them; all of them are hashed."""
    which = "previous log" if previous else "log"
    last = f": {cut(lines[-1])}" if lines else ""
    return Fact(
        EvidenceKind.log,
        pod,
        f"{len(lines)} lines of the {which} of {container}{last}",
        {"container": container, "previous": previous, **asked, "lines": list(lines)},
        entries=max(len(lines), MOST_ENTRIES),
    )


def change(obj: KubeObject, summary: str, body: Mapping[str, Any], at: datetime | None) -> Fact:
    """That an object was changed, and how."""
    return Fact(EvidenceKind.change, obj, summary, body, at)


def metric(series: Series, about: KubeObject | None) -> Fact:
    """A series of a recorded metric query: first, last, least and most."""
    values = [v for _, v in series.points]
    shown = {
        "first": values[0],
        "last": values[-1],
        "least": min(values),
        "most": max(values),
        "samples": len(values),
    }
    body = {"query": series.query, "labels": dict(series.labels), **shown}
    return Fact(EvidenceKind.metric, about, f"metric {series}", body, series.at)


def target_of(obj: KubeObject, cluster: str) -> Target | None:
    """The object's target; None when its recorded name is none an API server would take."""
    try:
        return obj.target(cluster)
    except ValidationError:
        return None


def item(fact: Fact, snapshot: Snapshot) -> EvidenceItem:
    """Number and hash a fact."""
    body = {harmless(str(k)): bounded(v, str(k), most=fact.entries) for k, v in fact.body.items()}
    said = canonical(body)
    target = target_of(fact.about, snapshot.cluster) if fact.about else None
    identity = "\x00".join([snapshot.source, fact.kind, str(target), said])
    age = (snapshot.captured_at - fact.at).total_seconds() if fact.at else None
    return EvidenceItem(
        id=f"ev-{hashlib.sha256(identity.encode(errors='surrogatepass')).hexdigest()[:16]}",
        source=snapshot.source,
        kind=fact.kind,
        target=target,
        observed_at=fact.at,
        freshness_s=max(age, 0.0) if age is not None else None,
        content_hash=content_hash(body),
        summary=cut(fact.summary, 1200),
        body=body,
    )


def items(facts: Iterable[Fact], snapshot: Snapshot) -> Iterator[EvidenceItem]:
    """The facts that can be cited, numbered; a value the wire cannot carry (a lone surrogate) is not citable."""
    for fact in facts:
        try:
            yield item(fact, snapshot)
        except ValidationError:
            continue


def bounded(value: object, name: str = "", depth: int = 0, *, most: int = MOST_ENTRIES) -> Any:
    """A copy that is finite, printable and free of secrets; what was left out is said."""
    if isinstance(value, str):
        kept = value_of(name, harmless(value))
        return (
            kept
            if len(kept) <= LONGEST_TEXT
            else f"{kept[:LONGEST_TEXT]}… [{len(kept) - LONGEST_TEXT} characters cut]"
        )
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if depth >= DEEPEST:
        return "… [deeper levels cut]"
    if isinstance(value, Mapping):
        return _bounded_map(value, depth)
    if isinstance(value, list | tuple):
        kept_items = [bounded(v, name, depth + 1) for v in value[:most]]
        return kept_items if len(value) <= most else [*kept_items, f"… [{len(value) - most} more]"]
    return str(value)


def _bounded_map(value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    # An environment variable is two fields, `name` and `value`: the name decides about the value.
    label = value.get("name") if "value" in value else None
    kept = {}
    for key in list(value)[:MOST_ENTRIES]:
        name = label if key == "value" and isinstance(label, str) else str(key)
        kept[harmless(str(key))] = bounded(value[key], name, depth + 1)
    if len(value) > MOST_ENTRIES:
        kept["…"] = f"[{len(value) - MOST_ENTRIES} more]"
    return kept


def slim(obj: KubeObject, *paths: str) -> dict[str, Any]:
    """Some fields of an object's body by dotted path, for evidence that shows several at once."""
    shown: dict[str, Any] = {}
    for path in paths:
        value: Any = obj.body
        for step in path.split("."):
            value = mapping(value).get(step)
        if value is not None:
            shown[path] = value
    return shown
