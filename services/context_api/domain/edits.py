"""What somebody made of an object of any kind, in words: before and after where that is recorded, else what is there now.

Decides which writes are told as changes (a controller's own counting is none) and in which words; whether one did harm
is the analyzers' business. Values of secrets are never told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.context_api.domain.changes import (
    REPORTERS,
    SETTLING,
    Edit,
    FieldChange,
    applied_changes,
    data_changes,
    last_applied,
    last_edit,
)
from services.context_api.domain.kube import (
    WORKLOADS,
    containers,
    entries,
    flat,
    leaves,
    listing,
    mapping,
    pod_spec,
    text,
)
from services.context_api.domain.logs import cut
from services.context_api.domain.mentions import PASSING
from services.context_api.domain.redact import value_of
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of

_COUNTING = frozenset({"kube-controller-manager", "keda-operator", "keda"})
"""Who changes replicas because there is more or less to do."""

_COMES_ALONG = frozenset(
    {
        ("ServiceAccount", "default"),
        ("ConfigMap", "kube-root-ca.crt"),
        ("ConfigMap", "openshift-service-ca.crt"),
    }
)
"""What every namespace is given when it is made."""

_BODY = ("apiVersion", "kind", "metadata", "status", "data", "stringData", "binaryData")
MOST_FIELDS = 6
MOST_TOLD = 12
_QUOTED = re.compile(r"`([^`]*)`")
_VALUE = re.compile(r"[\w./-]{3,80}")
_COMMON = frozenset({"true", "false", "none", "spec", "name", "type", "value", "key", "kind"})


@dataclass(frozen=True, slots=True)
class Change:
    """What was made of an object, when, and by whom."""

    obj: KubeObject
    at: datetime
    by: str
    made: bool
    words: tuple[str, ...]

    def __str__(self) -> str:
        how = "created" if self.made else "edited"
        by = f" by {self.by}" if self.by else ""
        what = f": {listing(self.words, MOST_TOLD)}" if self.words else ""
        return f"{name_of(self.obj)} was {how} at {clock(self.at)}{by}{what}"

    @property
    def values(self) -> Iterator[str]:
        """Words of it that would not stand in an error by chance."""
        for words in self.words:
            for quoted in _QUOTED.findall(words):
                for word in _VALUE.findall(quoted):
                    if word.lower() not in _COMMON and (len(word) >= 5 or any(c.isdigit() for c in word)):
                        yield word


def changes_within(scene: Scene, since: datetime, until: datetime) -> Iterator[Change]:
    """Every object that somebody made or edited within that time; what a controller makes is its owner's."""
    for obj in scene.snapshot.objects:
        if (
            (obj.kind, obj.name) in _COMES_ALONG
            or (obj.kind in PASSING and obj.kind not in ("Node", "Namespace"))
            or obj.metadata.get("ownerReferences")
        ):
            continue
        made = obj.created_at
        if made is not None and since <= made <= until:
            # What a controller makes follows from what somebody asked of it.
            if (maker := _maker(obj)) not in REPORTERS:
                yield Change(obj, made, maker, True, tuple(_gist(obj)))
            continue
        edit = last_edit(obj)
        if edit is not None and since <= edit.at <= until and (words := edited(scene, obj, edit)):
            yield Change(obj, edit.at, edit.by, False, tuple(words))


def _maker(obj: KubeObject) -> str:
    """Who wrote its first fields."""
    written = entries(obj.metadata.get("managedFields"))
    return text(written[0].get("manager")) if written else ""


def edited(scene: Scene, obj: KubeObject, edit: Edit) -> list[str]:
    """What an edit changed: before and after; else what the fields it owns say now."""
    if edit.by in _COUNTING and all(p.startswith("spec.replicas") for p in edit.paths):
        return []
    if obj.kind in WORKLOADS:
        rollout = scene.rollouts.of(obj)
        if rollout is not None and abs(rollout.at - edit.at) <= SETTLING and rollout.told:
            return rollout.told
    if obj.kind in ("ConfigMap", "Secret"):
        return [str(change) for change in changes_of(scene, obj, edit)]
    return [str(change) for change in applied_changes(obj, edit)] or list(_now(obj, edit.paths))


def _now(obj: KubeObject, paths: Sequence[str]) -> Iterator[str]:
    """What the fields that somebody owns say now: what they said before is not recorded."""
    said = dict(leaves(obj.body))
    for path in paths[:MOST_FIELDS]:
        below = [
            f"{p.removeprefix(path).strip('.')} `{_value(p, v)}`".strip()
            for p, v in said.items()
            if p == path or p.startswith((f"{path}.", f"{path}["))
        ]
        yield f"{path} changed" + (f", now {listing(below, MOST_TOLD)}" if below else "")


def _value(path: str, words: str) -> str:
    """Redacted by the name of the field itself: `secretStoreRef.name` holds a name."""
    return cut(value_of(path.rpartition(".")[2], words), 80)


def _gist(obj: KubeObject) -> Iterator[str]:
    """What a new object asks for, in its own fields; of a workload what it runs, of data only the keys."""
    if obj.kind in WORKLOADS:
        for container in containers(pod_spec(obj)):
            called = f"container {text(container.get('name'))}"
            for field in ("image", "command", "args", "env", "resources"):
                for path, words in leaves(container.get(field), field):
                    yield f"{called} {path} `{_value(path, words)}`"
        return
    for part, value in obj.body.items():
        if part not in _BODY:
            for path, words in leaves(value, str(part)):
                if words:
                    yield f"{path} `{_value(path, words)}`"
    keys = sorted(flat(mapping(obj.body.get("data"))))
    if keys:
        yield f"keys {listing(keys, MOST_FIELDS)}"


def touched(edit: Edit) -> set[str]:
    """Keys of the data that somebody owns since."""
    return {p.partition(".")[2] for p in edit.paths}


def changes_of(scene: Scene, config: KubeObject, edit: Edit) -> list[FieldChange]:
    """Before and after of a ConfigMap's data: an older version, last-applied, at last the edited keys' values."""
    if config.kind == "Secret":
        return [FieldChange(key, "", "") for key in sorted(touched(edit)) if key]
    if known := recorded_changes(scene, config):
        return known
    data = mapping(config.body.get("data"))
    keys = [k for k in sorted(touched(edit)) if k in data]
    short = [k for k in keys if "\n" not in text(data.get(k)).strip()]
    return [FieldChange(k, "", cut(value_of(k, text(data.get(k))), 160) if k in short else "") for k in keys]


def recorded_changes(scene: Scene, config: KubeObject) -> list[FieldChange]:
    """What differs from the text before; nothing where none is recorded, or where it says what it says now."""
    older = scene.graph.earlier(config)
    before = mapping(older[-1].body.get("data")) if older else mapping(last_applied(config).get("data"))
    return data_changes(before, mapping(config.body.get("data"))) if before else []
