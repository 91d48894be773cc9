"""Write a snapshot as a directory that `load_recording` reads again.

Decides the layout (`layout` reads it) and what a name may do to a path. A recording is there whole or not at all:
it is written beside its place and then renamed. Secrets have no data any more when they come here.

    snapshot.yaml                                 when, by what, and what could not be read
    objects/<namespace or _cluster>/<kind>.json   a List each
    logs/<namespace>/<pod>/<container>[.previous].log
    metrics/<name>.json                           a query and its answer
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import orjson

from services.context_api.adapters.recording.errors import CannotWrite
from services.context_api.adapters.recording.files import printable
from services.context_api.adapters.recording.limits import MIB
from services.context_api.domain.snapshot import ContainerLog, KubeObject, MetricAnswer, NotRead, Snapshot

CLUSTER = "_cluster"

FILE_BYTES = 16 * MIB
"""Bytes of one file of objects; half of what the reader takes, as a single object may be 4 MiB."""

READABLE_BYTES = 24 * MIB
"""Bytes of all objects up to which files are indented for people; it doubles them, and the reader takes 128 MiB."""

_POD = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


def write_recording(snapshot: Snapshot, directory: Path, facts: Mapping[str, str]) -> Sequence[NotRead]:
    """Write it; answers what could not be written.

    Args:
        directory: must not exist, or be empty.
        facts: further lines of `snapshot.yaml`, e.g. the cluster's name and the tool's version.

    Raises:
        CannotWrite: the place is taken, or the file system refuses.
    """
    free_for(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        # Readable by its owner alone: configuration and logs say a lot about a cluster.
        beside = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        try:
            missed = _write_all(snapshot, beside, facts)
            beside.rename(directory)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    except OSError as error:
        raise CannotWrite(directory, (error.strerror or type(error).__name__).lower()) from error
    return missed


def free_for(directory: Path) -> None:
    """Raises CannotWrite when something is there: a recording is never mixed with another."""
    try:
        if directory.is_dir():
            if any(directory.iterdir()):
                raise CannotWrite(directory, "is not empty; name a new directory")
        elif directory.exists() or directory.is_symlink():
            raise CannotWrite(directory, "is there already, and no directory")
    except OSError as error:
        raise CannotWrite(directory, (error.strerror or type(error).__name__).lower()) from error


def _write_all(snapshot: Snapshot, root: Path, facts: Mapping[str, str]) -> Sequence[NotRead]:
    _objects(chain(snapshot.objects, snapshot.events), root)
    missed = list(_logs(snapshot.logs, root))
    _metrics(snapshot.metrics, root)
    (root / "snapshot.yaml").write_text(about(snapshot, facts, missed), encoding="utf-8")
    return missed


def about(snapshot: Snapshot, facts: Mapping[str, str], missed: Sequence[NotRead] = ()) -> str:
    """`snapshot.yaml`. Every text is quoted as JSON does it, which YAML reads the same."""
    lines = [f"captured_at: {_quoted(snapshot.captured_at.strftime('%Y-%m-%dT%H:%M:%SZ'))}"]
    lines += [f"{name}: {_quoted(text)}" for name, text in facts.items()]
    gaps = (*snapshot.not_read, *missed)
    lines += ["not_read:"] if gaps else ["not_read: []"]
    for gap in gaps:
        lines += [f"- what: {_quoted(gap.what)}", f"  why: {_quoted(gap.why)}"]
    return "\n".join(lines) + "\n"


def safe(name: str) -> str:
    """A file name that stays in its directory, whatever the name is; equal names stay equal, others differ."""
    if _PLAIN.fullmatch(name):
        return name
    kept = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:60]
    return f"{kept}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def _quoted(text: str) -> str:
    return orjson.dumps(printable(text)).decode()


def _objects(items: Iterable[KubeObject], root: Path) -> None:
    groups: dict[tuple[str, str], list[KubeObject]] = {}
    for item in items:
        kind = f"{item.kind}.{item.group}" if item.group else item.kind
        groups.setdefault((safe(item.namespace or CLUSTER), safe(kind.lower())), []).append(item)
    whole = sum(len(orjson.dumps(item.body)) for group in groups.values() for item in group)
    indent = orjson.OPT_INDENT_2 if whole <= READABLE_BYTES else 0
    for (namespace, kind), group in groups.items():
        folder = root / "objects" / namespace
        folder.mkdir(parents=True, exist_ok=True)
        for number, part in enumerate(_parts(group)):
            name = f"{kind}-{number + 1}.json" if number else f"{kind}.json"
            document = {"apiVersion": "v1", "kind": "List", "items": [item.body for item in part]}
            (folder / name).write_bytes(orjson.dumps(document, option=indent | orjson.OPT_APPEND_NEWLINE))


def _parts(group: Sequence[KubeObject]) -> Iterator[Sequence[KubeObject]]:
    part: list[KubeObject] = []
    size = 0
    for item in group:
        more = len(orjson.dumps(item.body, option=orjson.OPT_INDENT_2))
        if part and size + more > FILE_BYTES:
            yield part
            part, size = [], 0
        part.append(item)
        size += more
    yield part


def _logs(logs: Iterable[ContainerLog], root: Path) -> Iterator[NotRead]:
    """A log's path says whose it is, so a name that no API server takes cannot be written."""
    for log in logs:
        labels = _LABEL.fullmatch(log.namespace) and _LABEL.fullmatch(log.container)
        if not labels or not _POD.fullmatch(log.pod):
            yield NotRead(
                f"log of {log.namespace}/{log.pod}/{log.container}", "its name is none a path may have"
            )
            continue
        folder = root / "logs" / log.namespace / log.pod
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{log.container}.previous.log" if log.previous else f"{log.container}.log"
        (folder / name).write_bytes(log.text.encode("utf-8", "replace"))


def _metrics(metrics: Sequence[MetricAnswer], root: Path) -> None:
    taken: set[str] = set()
    for number, metric in enumerate(metrics, 1):
        (root / "metrics").mkdir(exist_ok=True)
        stem = safe(metric.origin.rpartition("/")[2].removesuffix(".json") or "metric")
        name = stem if stem not in taken else f"{stem}-{number}"
        taken.add(name)
        document = {
            "query": metric.query,
            "kind": metric.kind,
            "asked_at": metric.asked_at,
            "data": metric.data,
        }
        (root / "metrics" / f"{name}.json").write_bytes(
            orjson.dumps(document, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)
        )
