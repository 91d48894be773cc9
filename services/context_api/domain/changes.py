"""Who changed what, when, from what to what: read from managedFields, last-applied and older versions.

Decides which write counts as somebody's edit (controllers reporting status do not); whether an edit
did harm is the analyzers' and the ranking's business. Values of secrets are never shown.

Rests on: kubernetes.io/docs, "Server-Side Apply" (managedFields, one time per manager and operation)
and "Declarative Management" (last-applied-configuration holds what the last `kubectl apply` sent).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from services.context_api.domain.kube import EMPTY, entries, mapping, text
from services.context_api.domain.logs import cut
from services.context_api.domain.redact import GONE, sensitive, value_of
from services.context_api.domain.snapshot import Body, KubeObject, once, parse_time

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_TOO_LONG = 512 * 1024
REPORTERS = frozenset(
    {
        "kubelet",
        "kube-scheduler",
        "kube-controller-manager",
        "k3s",
        "cloud-controller-manager",
        "calico-kube-controllers",
    }
)
"""Managers that report or reconcile; a person's or a pipeline's edit bears another name."""

APPLIERS = frozenset({"kubectl-client-side-apply", "kubectl-create", "helm"})
"""Managers that send whole objects: what they own they need not have changed."""

SETTLING = timedelta(seconds=5)
"""Writes this soon after creation belong to it."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field before and after; empty text where it did not exist."""

    path: str
    before: str
    after: str
    inside: str = field(default="", compare=False)
    """Path of what holds it; a key may have dots of its own."""

    def __str__(self) -> str:
        if not self.before:
            return f"{self.path}: added `{self.after}`" if self.after else f"{self.path} changed"
        if not self.after:
            return f"{self.path}: removed `{self.before}`"
        return f"{self.path}: `{self.before}` → `{self.after}`"


@dataclass(frozen=True, slots=True)
class Edit:
    """The newest edit of an object after its creation."""

    at: datetime
    by: str
    paths: tuple[str, ...]
    """Fields the editor owns since; a superset of what that one write changed."""


@once
def last_edit(obj: KubeObject) -> Edit | None:
    """The newest write to the object that is no status report and no part of its creation."""
    newest: Edit | None = None
    for entry in entries(obj.metadata.get("managedFields")):
        at, by = parse_time(entry.get("time")), text(entry.get("manager"))
        if at is None or entry.get("subresource") == "status" or by in REPORTERS:
            continue
        paths = tuple(p for p in field_paths(mapping(entry.get("fieldsV1"))) if _of_interest(p))
        if not paths or (newest is not None and newest.at >= at):
            continue
        newest = Edit(at=at, by=by, paths=paths)
    if newest is None or (obj.created_at is not None and newest.at - obj.created_at <= SETTLING):
        return None
    return newest


def writer_of(obj: KubeObject, path: str) -> Edit | None:
    """Who wrote a field last, and when; None when nobody owns it.

    Nobody owns `spec.replicas` after a scaling to zero through the scale subresource: there, zero is no value.
    """
    found: Edit | None = None
    for entry in entries(obj.metadata.get("managedFields")):
        at, paths = parse_time(entry.get("time")), tuple(field_paths(mapping(entry.get("fieldsV1"))))
        if at is not None and path in paths and (found is None or found.at < at):
            found = Edit(at, text(entry.get("manager")), (path,))
    return found


def status_written(obj: KubeObject) -> datetime | None:
    """When a controller last wrote the status: soon after it had done what the spec asks for."""
    moments = [
        moment
        for entry in entries(obj.metadata.get("managedFields"))
        if entry.get("subresource") == "status" and (moment := parse_time(entry.get("time")))
    ]
    return max(moments, default=None)


def first_seen_change(obj: KubeObject) -> datetime | None:
    """When the object last became what it is: its newest edit, else its creation."""
    edit = last_edit(obj)
    return edit.at if edit else obj.created_at


def _of_interest(path: str) -> bool:
    return not path.startswith(
        ("status", "metadata.managedFields", "metadata.resourceVersion")
    ) and path not in (
        "metadata",
        "metadata.annotations",
        "metadata.labels",
        f"metadata.annotations.{LAST_APPLIED}",
    )


def field_paths(fields: Body, prefix: str = "", depth: int = 0) -> Iterator[str]:
    """Leaf paths of a `fieldsV1` set: `{"f:data": {"f:max": {}}}` → `data.max`."""
    if depth > 12:
        return
    for key, below in fields.items():
        if not isinstance(key, str) or key == ".":
            continue
        if key.startswith("f:"):
            path = f"{prefix}.{key[2:]}" if prefix else key[2:]
        elif key.startswith("k:"):
            path = f"{prefix}[{_key_of(key[2:])}]"
        else:
            continue
        inner = mapping(below)
        if any(isinstance(k, str) and k != "." for k in inner):
            yield from field_paths(inner, path, depth + 1)
        else:
            yield path


def _key_of(raw: str) -> str:
    try:
        value = json.loads(raw)
    except ValueError:
        return raw
    return ",".join(f"{v}" for v in value.values()) if isinstance(value, Mapping) else raw


def last_applied(obj: KubeObject) -> Body:
    """What the last `kubectl apply` sent; empty when there was none or it is no JSON."""
    raw = obj.annotations.get(LAST_APPLIED)
    if not isinstance(raw, str) or len(raw) > _TOO_LONG:
        return EMPTY
    try:
        return mapping(json.loads(raw))
    except (ValueError, RecursionError):
        return EMPTY


def applied_changes(obj: KubeObject, edit: Edit) -> list[FieldChange]:
    """Fields of an edit that the last `kubectl apply` had set to something else, or had not yet called by another name.

    What is there now and was not applied may be a server's default; beside a field that went it is its new name.
    """
    before = mapping(last_applied(obj).get("spec"))
    changes = spec_changes(before, obj.spec, "spec") if before else []
    edited = [c for c in changes if any(p.startswith(c.path) or c.path.startswith(p) for p in edit.paths)]
    went = {c.inside for c in edited if c.before and not c.after}
    # Who edits an object that another one applied owns only what he changed; defaults are the applier's.
    own = frozenset(edit.paths) if edit.by not in APPLIERS else frozenset[str]()
    return [c for c in edited if c.before or c.inside in went or c.path in own]


def data_changes(before: Body, after: Body, only: frozenset[str] | None = None) -> list[FieldChange]:
    """What differs between two `data` maps of a ConfigMap; long values line by line."""
    changes: list[FieldChange] = []
    for key in sorted({k for k in [*before, *after] if isinstance(k, str)}):
        if only is not None and key not in only:
            continue
        old, new = text(before.get(key)), text(after.get(key))
        if old != new:
            changes.extend(value_changes(key, old, new))
    return changes


def value_changes(key: str, old: str, new: str) -> list[FieldChange]:
    """One value's change; of a file, the lines that went and came."""
    if "\n" not in old.strip() and "\n" not in new.strip():
        return [FieldChange(key, cut(value_of(key, old), 160), cut(value_of(key, new), 160))]
    if sensitive(key):
        return [FieldChange(key, GONE, GONE)]
    # Lines as sets: linear where a real diff is quadratic, and moved lines are no change of meaning.
    old_lines, new_lines = old.splitlines()[:5000], new.splitlines()[:5000]
    gone = [x.strip() for x in old_lines if x.strip() and x not in set_of(new_lines)]
    came = [x.strip() for x in new_lines if x.strip() and x not in set_of(old_lines)]
    return _pair_lines(key, gone, came)


def set_of(lines: list[str]) -> frozenset[str]:
    return frozenset(lines)


def _pair_lines(key: str, gone: list[str], came: list[str]) -> list[FieldChange]:
    """Pair `port = 1` that went with `port = 2` that came; the rest stands alone."""
    heads = {_head(line): line for line in came}
    changes: list[FieldChange] = []
    paired: set[str] = set()
    for line in gone[:20]:
        match = heads.get(_head(line))
        if match is not None:
            paired.add(match)
        changes.append(_line_change(key, line, match or ""))
    changes += [_line_change(key, "", line) for line in came[:20] if line not in paired]
    return changes


def _line_change(key: str, before: str, after: str) -> FieldChange:
    name = _head(before or after)
    return FieldChange(key, cut(value_of(name, before), 160), cut(value_of(name, after), 160))


def _head(line: str) -> str:
    for mark in ("=", ":", " "):
        if mark in line:
            return line.split(mark, 1)[0].strip().strip("\"'")
    return line.strip()


def spec_changes(
    before: Any, after: Any, path: str = "", depth: int = 0, inside: str = ""
) -> list[FieldChange]:
    """What differs between two specs; list entries are matched by name, mount path, key or port, else by place."""
    if before == after or depth > 30:
        return []
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        changes: list[FieldChange] = []
        for key in sorted({k for k in [*before, *after] if isinstance(k, str)}):
            inner = f"{path}.{key}" if path else key
            if inner not in _NOISE and not inner.endswith(_NOISE_ENDS):
                changes += spec_changes(before.get(key), after.get(key), inner, depth + 1, path)
        return changes
    if isinstance(before, list) or isinstance(after, list):
        old, new = _keyed(before), _keyed(after)
        if old is not None and new is not None:
            changes = []
            for key in [*old, *(k for k in new if k not in old)]:
                changes += spec_changes(old.get(key), new.get(key), f"{path}[{key}]", depth + 1, path)
            return changes
        if _in_step(before, after):
            changes = []
            for index, (one, other) in enumerate(zip(before, after, strict=True)):
                changes += spec_changes(one, other, f"{path}[{index}]", depth + 1, path)
            return changes
    return [FieldChange(path, _brief(path, before), _brief(path, after), inside)]


_NOISE = frozenset(
    {"metadata.creationTimestamp", "metadata.labels.pod-template-hash", "metadata.name", "metadata.uid"}
)
_NOISE_ENDS = ("terminationMessagePath", "terminationMessagePolicy", ".creationTimestamp")


def _keyed(value: object) -> dict[str, Any] | None:
    """A list of objects by their merge key; None when it is another kind of list."""
    if value is None:
        return {}
    if not isinstance(value, list):
        return None
    keyed: dict[str, Any] = {}
    for item in value:
        if not isinstance(item, Mapping):
            return None
        name = next(
            (text(item[k]) for k in ("name", "mountPath", "key", "containerPort", "port") if k in item), ""
        )
        if not name or name in keyed:
            return None
        keyed[name] = item
    return keyed


def _in_step(before: Any, after: Any) -> bool:
    """Whether two lists of objects without names (rules, peers) have as many entries, so that places can be compared."""
    both = isinstance(before, list) and isinstance(after, list) and len(before) == len(after) > 0
    return both and all(isinstance(item, Mapping) for item in (*before, *after))


def _brief(path: str, value: Any) -> str:
    if value is None:
        return ""
    name = path.rpartition("[")[2] if "[" in path else path
    if isinstance(value, str | int | float | bool):
        return cut(value_of(name, text(value)), 160)
    if isinstance(value, Mapping) and set(value) <= {"name", "value"}:
        return cut(value_of(text(value.get("name")), text(value.get("value"))), 160)
    try:
        printed = json.dumps(value, sort_keys=True, default=str)
    except (ValueError, RecursionError):
        return "…"
    return cut(value_of(name, printed), 160)
