"""Turn the end of a log file into container logs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set

from services.context_api.adapters.recording.layout import Place
from services.context_api.domain.snapshot import ContainerLog

# `kubectl cluster-info dump` writes all containers of a pod into one file, between these two lines.
_MARK = re.compile(rb"(?m)^==== (START|END) logs for container (\S+) of pod ([^/\s]+)/(\S+) ====\r?\n?")


def log_of(place: Place, content: bytes, *, truncated: bool, origin: str) -> ContainerLog:
    return ContainerLog(
        namespace=place.namespace or "",
        pod=place.pod,
        container=place.container,
        previous=place.previous,
        text=_text(content),
        truncated=truncated,
        origin=origin,
    )


def dump_logs(content: bytes, *, keep: int, truncated: bool, origin: str) -> Iterator[ContainerLog]:
    """The logs of a cluster-info dump's `logs.txt`, the last `keep` bytes of each.

    Whose they are is read from the marker lines. When the file's beginning was left out, what stands before
    the first END belongs to the container it names.
    """
    start, open_cut = 0, truncated
    for mark in _MARK.finditer(content):
        kind, container, namespace, pod = (part.decode("utf-8", "replace") for part in mark.groups())
        if kind == "END":
            body = content[start : mark.start()]
            yield ContainerLog(
                namespace=namespace,
                pod=pod,
                container=container,
                previous=False,
                text=_text(body[-keep:]),
                truncated=open_cut or len(body) > keep,
                origin=origin,
            )
        start, open_cut = mark.end(), False


def namespace_of_pod(pod: str, namespaces: Mapping[str, Set[str]]) -> str | None:
    """The namespace of a log whose path names only its pod; None when no pod or several have that name."""
    candidates = namespaces.get(pod, frozenset())
    return next(iter(candidates)) if len(candidates) == 1 else None


def _text(content: bytes) -> str:
    # NUL: PostgreSQL's text and jsonb refuse it.
    return content.decode("utf-8", "replace").replace("\0", "\ufffd")
