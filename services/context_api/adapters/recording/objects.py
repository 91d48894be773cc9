"""Turn documents into Kubernetes objects, or say why one is none.

Decides what counts as an object, what of it is kept, and which of two copies is the better one.
Pure: files are read elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import orjson
from pydantic import ValidationError

from libs.contracts.target import Target
from services.context_api.adapters.recording import secrets
from services.context_api.adapters.recording.errors import NotUsable
from services.context_api.adapters.recording.limits import MIB
from services.context_api.domain.snapshot import KubeObject

# PostgreSQL's jsonb refuses NUL, and evidence ends up there. The pattern leaves an escaped backslash alone.
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")

Key = tuple[str, str, str | None, str]


@dataclass(frozen=True, slots=True)
class Admitted:
    """An object that passed, and how many bytes its JSON has."""

    object: KubeObject
    size: int

    @property
    def key(self) -> Key:
        """Events are one thing in two API groups; everything else is told apart by its group."""
        group = "" if self.object.kind == "Event" else self.object.group
        return (group, self.object.kind, self.object.namespace, self.object.name)

    @property
    def is_event(self) -> bool:
        return self.object.kind == "Event" and self.object.group in ("", "events.k8s.io")


def unpack(document: object) -> Iterator[object]:
    """The objects of a document: itself, or the items of a List, in order.

    Items of a typed list (`PodList`) carry no kind of their own; they get the list's.
    """
    pending = [document]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(reversed(item))
        elif _is_list(item):
            pending.extend(reversed(_items(item)))
        elif item is not None:
            yield item


def _is_list(document: object) -> TypeGuard[dict[str, Any]]:
    """Ends in `List` and has items; a custom resource called `AllowList` has none at the top."""
    return (
        isinstance(document, dict)
        and isinstance(document.get("kind"), str)
        and document["kind"].endswith("List")
        and "items" in document
        and isinstance(document["items"], list | None)
    )


def _items(document: Mapping[str, Any]) -> list[object]:
    kind, version = document["kind"].removesuffix("List"), document.get("apiVersion")
    items = document["items"] or []
    if not kind:
        return list(items)
    return [
        {"apiVersion": version, "kind": kind, **item}
        if isinstance(item, dict) and "kind" not in item
        else item
        for item in items
    ]


def is_kubernetes(document: object) -> bool:
    """Whether a document claims to be a Kubernetes object; others (charts, dashboards, alerts) are not ours."""
    return isinstance(document, dict) and "kind" in document and "apiVersion" in document


def is_alert(document: object) -> bool:
    """Whether it is an alert, or Alertmanager's webhook body, kept beside the objects it is about."""
    return isinstance(document, Mapping) and ("alerts" in document or "startsAt" in document)


def admit(document: Mapping[str, Any], *, origin: str, object_bytes: int) -> tuple[Admitted, bytes]:
    """Check, empty (Secrets) and measure one object; its JSON comes along for those who search it.

    Raises:
        NotUsable: the shape, a name or the size is one that no API server prints.
    """
    identity = _identity(document)
    body, raw = _plain(_with_texts(document))
    if len(raw) > object_bytes:
        raise NotUsable(f"is larger than {object_bytes // MIB} MiB, which no API server stores")
    if identity.kind == "Secret" and identity.api_version == "v1":
        body, raw = _plain(secrets.without_data(body))
    elif secrets.mentions_secret(raw):
        body, raw = _plain(secrets.without_nested(body))
    item = KubeObject(
        api_version=identity.api_version,
        kind=identity.kind,
        namespace=identity.namespace,
        name=identity.name,
        uid=str(body["metadata"].get("uid") or ""),
        body=body,
        origin=origin,
    )
    return Admitted(item, len(raw)), raw


def better(one: Admitted, other: Admitted) -> Admitted:
    """Of two copies of an object the newer one, else the more complete one, else the first."""
    return other if _worth(other) > _worth(one) else one


def _worth(item: Admitted) -> tuple[int, int]:
    version = str(item.object.metadata.get("resourceVersion") or "")
    # Opaque by contract, but a growing number from every API server there is; 20 digits are 64 bits.
    return (
        int(version) if version.isascii() and version.isdigit() and len(version) <= 20 else -1,
        item.size,
    )


def _identity(document: Mapping[str, Any]) -> Target:
    metadata = document.get("metadata")
    if not isinstance(metadata, Mapping):
        raise NotUsable("has no metadata")
    try:
        return Target.model_validate(
            {
                "api_version": document["apiVersion"],
                "kind": document["kind"],
                "namespace": metadata.get("namespace") or None,
                "name": metadata.get("name"),
            },
            strict=True,
        )
    except ValidationError as error:
        where = str(error.errors(include_url=False, include_input=False)[0]["loc"][0])
        raise NotUsable(f"has an impossible {where.replace('api_version', 'apiVersion')}") from error


def _with_texts(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Labels and annotations as texts: people write `version: 1.0` by hand, an API server never prints it."""
    metadata = document["metadata"]
    mended = {
        name: {str(key): _as_text(value, name) for key, value in metadata[name].items()}
        for name in ("labels", "annotations")
        if isinstance(metadata.get(name), Mapping)
        and not all(isinstance(value, str) for value in metadata[name].values())
    }
    return {**document, "metadata": {**metadata, **mended}} if mended else document


def _as_text(value: object, name: str) -> str:
    if value is None or isinstance(value, Mapping | list):
        raise NotUsable(f"has {name} that are no texts")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(document: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The object as JSON can carry it, and that JSON: text keys, numbers of 64 bits, at most 254 levels, no NUL."""
    body = document
    try:
        raw = orjson.dumps(body)
    except TypeError:
        raw = _dumped(body)
        body = orjson.loads(raw)
    if b"\\u0000" in raw:
        raw = _NUL.sub(rb"\1\\ufffd", raw)
        body = orjson.loads(raw)
    return dict(body), raw


def _dumped(body: object) -> bytes:
    try:
        return orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
    except TypeError as error:
        # orjson's words: "Recursion limit reached", "Integer exceeds 64-bit range", "surrogates not allowed".
        raise NotUsable(f"cannot be written as JSON: {str(error)[:80]}") from error
