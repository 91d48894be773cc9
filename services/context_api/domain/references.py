"""What a pod spec names: ConfigMaps, Secrets, claims, accounts, and where it names them.

Decides nothing about whether those exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from services.context_api.domain.kube import containers, entries, mapping, strings, text
from services.context_api.domain.snapshot import Body

_BY_ARGUMENT = re.compile(r"^(--?[\w-]{0,40}config-?map(?:-name)?)=(?:[^/\s]+/)?([a-z0-9][a-z0-9.-]*)$")


@dataclass(frozen=True, slots=True)
class Reference:
    """One name in a pod spec."""

    kind: str
    name: str
    where: str
    """In words: `env DB_URL of container api`, `volume cfg at /etc/app`."""
    key: str | None = None
    """The single key that is used; None when all of them are."""
    optional: bool = False
    container: str | None = None
    variable: str | None = None
    paths: tuple[str, ...] = ()
    """Where a volume is mounted."""
    live: bool = False
    """Whether a change reaches a running container (a mounted volume without subPath)."""


def references(spec: Body) -> Iterator[Reference]:
    """Every object a pod spec names, in the order of the spec."""
    yield from _environment(spec)
    yield from _volumes(spec)
    for pull in entries(spec.get("imagePullSecrets")):
        if text(pull.get("name")):
            yield Reference("Secret", text(pull["name"]), "imagePullSecrets", optional=True)
    yield from _arguments(spec)
    for field, kind in (
        ("serviceAccountName", "ServiceAccount"),
        ("priorityClassName", "PriorityClass"),
        ("runtimeClassName", "RuntimeClass"),
    ):
        if text(spec.get(field)):
            yield Reference(kind, text(spec[field]), field)


def _environment(spec: Body) -> Iterator[Reference]:
    for container in containers(spec):
        name = text(container.get("name"))
        for variable in entries(container.get("env")):
            source = mapping(variable.get("valueFrom"))
            for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                chosen = mapping(source.get(field))
                if text(chosen.get("name")):
                    yield Reference(
                        kind,
                        text(chosen["name"]),
                        f"env {text(variable.get('name'))} of container {name}",
                        key=text(chosen.get("key")) or None,
                        optional=chosen.get("optional") is True,
                        container=name,
                        variable=text(variable.get("name")),
                    )
        for source in entries(container.get("envFrom")):
            for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                chosen = mapping(source.get(field))
                if text(chosen.get("name")):
                    yield Reference(
                        kind,
                        text(chosen["name"]),
                        f"envFrom of container {name}",
                        optional=chosen.get("optional") is True,
                        container=name,
                    )


def _arguments(spec: Body) -> Iterator[Reference]:
    """ConfigMaps that a controller reads and watches by itself: `--configmap=$(POD_NAMESPACE)/name`."""
    for container in containers(spec):
        for word in strings(container.get("args")):
            if found := _BY_ARGUMENT.match(word):
                called = text(container.get("name"))
                where = f"argument {found[1]} of container {called}"
                yield Reference("ConfigMap", found[2], where, optional=True, container=called, live=True)


def _volumes(spec: Body) -> Iterator[Reference]:
    mounts: dict[str, list[Body]] = {}
    for container in containers(spec):
        for mount in entries(container.get("volumeMounts")):
            mounts.setdefault(text(mount.get("name")), []).append(mount)
    for volume in entries(spec.get("volumes")):
        name = text(volume.get("name"))
        paths = tuple(dict.fromkeys(text(m.get("mountPath")) for m in mounts.get(name, [])))
        live = not any(m.get("subPath") for m in mounts.get(name, []))
        where = f"volume {name}" + (f" at {paths[0]}" if paths else "")
        sources = [volume, *entries(mapping(volume.get("projected")).get("sources"))]
        for source in sources:
            yield from _volume_source(source, where, paths, live)
        claim = text(mapping(volume.get("persistentVolumeClaim")).get("claimName"))
        if claim:
            yield Reference("PersistentVolumeClaim", claim, where, paths=paths)


def _volume_source(source: Body, where: str, paths: tuple[str, ...], live: bool) -> Iterator[Reference]:
    for field, kind, name_field in (
        ("configMap", "ConfigMap", "name"),
        ("secret", "Secret", "secretName"),
        ("secret", "Secret", "name"),
    ):
        chosen = mapping(source.get(field))
        name = text(chosen.get(name_field))
        if not name:
            continue
        optional = chosen.get("optional") is True
        items = entries(chosen.get("items"))
        if not items:
            yield Reference(kind, name, where, optional=optional, paths=paths, live=live)
        for item in items:
            yield Reference(
                kind,
                name,
                where,
                key=text(item.get("key")) or None,
                optional=optional,
                paths=paths,
                live=live,
            )
