"""Builds and imports that should have made the image a workload runs or waits for (OpenShift).

Sees BuildConfigs whose newest build failed, the image streams they feed, tags that were never pushed or imported, and
the workloads that run images of those streams. A failed build while an older image runs well is no fault of the
workload: it is told about the BuildConfig alone.
Cannot see a build's log unless it was recorded, nor registries outside.

Rests on: docs.openshift.com, "Understanding image builds" (build phases, output) and "Managing image streams".
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.kube import containers, entries, listing, pod_spec, read_condition, text
from services.context_api.domain.logs import cut, is_narrative, quote
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.wording import clock, name_of

NAME = "image_source"
GROUP = "build.openshift.io"
SEEN = timedelta(days=1)
"""A failed build older than this is history unless something waits for its image."""

_NO_IMAGE = frozenset(
    {
        "ImageNotFound",
        "ImagePullDenied",
        "ImagePullFailed",
        "ImagePullBackOff",
        "InvalidImageName",
        "NoPodsBehindService",
        "ScaledToZero",
    }
)


def observe(scene: Scene) -> Iterator[Observation]:
    """At most one observation per BuildConfig, and one per image stream that could not be imported."""
    newest: dict[int, tuple[KubeObject, KubeObject]] = {}
    for build in scene.snapshot.of_kind("Build"):
        config = scene.graph.owner(build) or scene.graph.get(
            "BuildConfig", build.namespace, text(build.labels.get("buildconfig"))
        )
        if build.group == GROUP and config is not None and config.kind == "BuildConfig":
            held = newest.get(id(config))
            if held is None or _age(held[1]) < _age(build):
                newest[id(config)] = (config, build)
    for config, build in newest.values():
        if text(build.status.get("phase")) in ("Failed", "Error", "Cancelled"):
            yield from _failed(scene, config, build)
    for stream in scene.snapshot.of_kind("ImageStream"):
        yield from _not_imported(scene, stream)


def _not_imported(scene: Scene, stream: KubeObject) -> Iterator[Observation]:
    """A tag that holds no image because its import failed; one that holds an older image goes on serving it."""
    for tag in entries(stream.status.get("tags")):
        failed = next(
            (
                c
                for c in map(read_condition, entries(tag.get("conditions")))
                if c.type == "ImportSuccess" and c.status == "False"
            ),
            None,
        )
        if failed is None or entries(tag.get("items")):
            continue
        message = "" if is_narrative(failed.message) else quote(failed.message)
        words = f"Tag {text(tag.get('tag'))} of {name_of(stream)} could not be imported ({failed.reason}: `{message}`), so it holds no image"
        yield Observation(
            about=stream,
            reason="ImageImportFailed",
            text=words,
            severity=FindingSeverity.critical,
            analyzer=NAME,
            depth=Depth.mechanism,
            certainty=0.86,
            facts=(evidence.field(stream, "status.tags", {"tag": tag.get("tag"), "reason": failed.reason, "message": message}, cut(words, 400), failed.since),),
            basis=("the image stream's own conditions",),
            onset=failed.since,
            remediation=remedies.edit(stream, f"Correct what {name_of(stream)} imports, or the credentials for it."),
            explains=tuple(Explains(w, 0.9, f"its image should come from {name_of(stream)}", reasons=_NO_IMAGE) for w in _running_from(scene, stream)),
        )  # fmt: skip
        return


def _age(build: KubeObject) -> tuple[datetime, str]:
    return build.created_at or datetime.min.replace(tzinfo=UTC), build.name


def _failed(scene: Scene, config: KubeObject, build: KubeObject) -> Iterator[Observation]:
    ended = parse_time(build.status.get("completionTimestamp"))
    streams = [link.to for link in scene.platforms.makes(config) if link.to.kind == "ImageStream"]
    waiting = list({id(w): w for stream in streams for w in _running_from(scene, stream)}.values())
    empty = [s for s in streams if not any(entries(t.get("items")) for t in entries(s.status.get("tags")))]
    if ended is not None and scene.now - ended > SEEN and not empty:
        return
    message = text(build.status.get("message"))
    message = "" if is_narrative(message) else quote(message)
    reason = text(build.status.get("reason"))
    words = f"{name_of(build)} of {name_of(config)} {text(build.status.get('phase')).lower()}"
    words += f" at {clock(ended)}" if ended else ""
    words += f" ({reason}{': ' if reason and message else ''}{message})" if reason or message else ""
    tail = text(build.status.get("logSnippet"))
    words += f"; its log ends: `{cut(redact(tail), 200)}`" if tail and not is_narrative(tail) else ""
    if streams:
        state = "holds no image yet" if empty else "stays at the image before"
        words += f"; ImageStream {listing([s.name for s in streams])} {state}"
    words += f", which {listing([name_of(w) for w in waiting], 2)} runs" if waiting and streams else ""
    yield Observation(
        about=config,
        reason="BuildFailed",
        text=words,
        severity=FindingSeverity.critical if empty else FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.85,
        facts=(evidence.field(build, "status", {"phase": build.status.get("phase"), "reason": reason, "message": message}, cut(words, 400), ended),),
        basis=("the newest build's own status",),
        onset=ended,
        remediation=remedies.look(config, f"Read the log of {name_of(build)}, correct {name_of(config)} and build again."),
        explains=tuple(Explains(w, 0.9, f"its image should come from {name_of(config)}", reasons=_NO_IMAGE) for w in (waiting if empty else [])),
    )  # fmt: skip


def _running_from(scene: Scene, stream: KubeObject) -> Iterator[KubeObject]:
    """Workloads with a trigger on the stream, or whose images lie in its repository."""
    place = text(stream.status.get("dockerImageRepository")) or text(
        stream.status.get("publicDockerImageRepository")
    )
    inside = f"/{stream.namespace}/{stream.name}"
    for workload in scene.graph.workloads_in(stream.namespace):
        images = [text(c.get("image")) for c in containers(pod_spec(workload))]
        named = any(
            i.partition("@")[0].rpartition(":")[0].endswith(inside) or (place and i.startswith(place))
            for i in images
        )
        if named or any(s is stream for s in scene.platforms.streams(workload)):
            yield scene.graph.top(workload)
