"""Read a recorded cluster into one snapshot: find, read, admit, choose between copies, tell the time.

Gives the same snapshot for the same files, next year too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

from services.context_api.adapters.recording import documents, logs, objects
from services.context_api.adapters.recording.archive import files_in_archive, is_archive
from services.context_api.adapters.recording.errors import NotUsable, UnreadableRecording
from services.context_api.adapters.recording.files import files_in, open_regular, printable, why
from services.context_api.adapters.recording.layout import Place, Role, place_of
from services.context_api.adapters.recording.limits import MIB, Limits
from services.context_api.adapters.recording.metrics import metric_of
from services.context_api.adapters.recording.notes import Notes
from services.context_api.adapters.recording.reading import Found, read_tail, read_whole
from services.context_api.adapters.recording.times import Newest
from services.context_api.domain.ahead import read_ahead
from services.context_api.domain.snapshot import ContainerLog, MetricAnswer, Snapshot, parse_time

LONGEST_GAP = 400
"""Characters of a gap told by `snapshot.yaml`; a server's refusal has about 200."""

NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Now of a recording in which no time stands anywhere: any constant will do, but not the wall clock."""


def load_recording(path: Path, limits: Limits | None = None) -> Snapshot:
    """The snapshot held by a directory, a tar archive or a single file.

    What could not be read is in `not_read`. "Now" (`captured_at`) is what `snapshot.yaml` says, else the
    newest time found in the recording.

    Raises:
        UnreadableRecording: no such path, no permission, or not one Kubernetes object in it.
    """
    bounds = limits or Limits()
    recording = _Recording(bounds)
    try:
        for found in _files(path, bounds, recording.notes):
            recording.take(found)
    except OSError as error:
        raise UnreadableRecording(path, why(error)) from error
    snapshot = recording.snapshot(path)
    read_ahead(snapshot.objects)
    return snapshot


def _files(path: Path, limits: Limits, notes: Notes) -> Iterator[Found]:
    if path.is_dir():
        return files_in(path, limits, notes)
    if is_archive(path):
        return files_in_archive(path, limits, notes)
    single = Found(printable(path.name), path.stat().st_size, lambda: open_regular(str(path.resolve())))
    return iter((single,))


class _Recording:
    """What has been gathered so far. One file is never half in: it is parsed first, then taken."""

    def __init__(self, limits: Limits) -> None:
        self.notes = Notes(limits.notes)
        self._limits = limits
        self._bytes = 0
        self._nodes = 0
        self._objects: dict[objects.Key, objects.Admitted] = {}
        self._logs: list[ContainerLog] = []
        self._metrics: list[MetricAnswer] = []
        self._newest = Newest()
        self._hash = blake2b(digest_size=16)
        self._captured_at: datetime | None = None
        self._files = 0

    def take(self, found: Found) -> None:
        """Read one file; whatever is wrong with it is noted, and the others are read all the same."""
        place = place_of(found.path)
        self._files += 1
        if place.role is Role.prose:
            return
        if place.role is Role.other:
            self.notes.count("files", "neither YAML, JSON nor a container's log")
            return
        try:
            if place.role in (Role.log, Role.dump_log):
                self._take_log(found, place)
            else:
                self._take_documents(found, place.role)
        except NotUsable as error:
            self.notes.add(found.path, error.reason)
        except OSError as error:
            self.notes.add(found.path, why(error))

    def _take_log(self, found: Found, place: Place) -> None:
        keep = self._limits.log_tail_bytes
        self._refuse_beyond(min(found.size, keep))
        if place.role is Role.dump_log:
            content, cut = read_tail(found, 4 * keep, self._limits)
            self._logs.extend(logs.dump_logs(content, keep=keep, truncated=cut, origin=found.path))
        else:
            content, cut = read_tail(found, keep, self._limits)
            self._logs.append(logs.log_of(place, content, truncated=cut, origin=found.path))
        self._bytes += len(content)
        self._newest.see_log(content)
        self._hash.update(found.path.encode() + content)

    def _take_documents(self, found: Found, role: Role) -> None:
        is_json = found.path.removesuffix(".gz").endswith(".json")
        self._refuse_beyond(found.size)
        raw = read_whole(found, self._limits)
        self._spend(len(raw), documents.nodes_in(raw, is_json=is_json))
        parsed = documents.parse(raw, is_json=is_json, limits=self._limits)
        if role is Role.metrics:
            self._hash.update(raw)
            for document in parsed:
                self._take_metric(document, found.path)
        elif role is Role.about and not any(objects.is_kubernetes(document) for document in parsed):
            self._take_facts(parsed[0] if parsed else None)
        else:
            self._take_objects(parsed, found.path)

    def _spend(self, count: int, nodes: int) -> None:
        """Account for a file before it is parsed: parsing is what takes the memory."""
        self._refuse_beyond(count)
        if self._nodes + nodes > self._limits.nodes:
            raise NotUsable(f"over the limit of {self._limits.nodes} values in all")
        self._bytes += count
        self._nodes += nodes

    def _refuse_beyond(self, count: int) -> None:
        if self._bytes + count > self._limits.total_bytes:
            raise NotUsable(f"over the limit of {self._limits.total_bytes // MIB} MiB in all")

    def _take_metric(self, document: object, origin: str) -> None:
        answer = metric_of(document, origin=origin)
        self._metrics.append(answer)
        self._newest.see(answer.asked_at)

    def _take_facts(self, facts: object) -> None:
        moment = parse_time(facts.get("captured_at")) if isinstance(facts, Mapping) else None
        if moment is None or not isinstance(facts, Mapping):
            raise NotUsable("has no captured_at that is a time (2026-01-31T12:00:00Z)")
        self._captured_at = moment
        gaps = facts.get("not_read")
        for gap in gaps if isinstance(gaps, list) else [gaps] if gaps else []:
            self._take_gap(gap)

    def _take_gap(self, gap: object) -> None:
        """What the one who recorded could not read: no reader of the recording can know it otherwise."""
        what, why = (gap.get("what"), gap.get("why")) if isinstance(gap, Mapping) else (None, None)
        if not isinstance(what, str) or not isinstance(why, str):
            raise NotUsable("has a not_read that is no list of {what, why}")
        told = printable(what)[:LONGEST_GAP], printable(why)[:LONGEST_GAP]
        self.notes.add(*told)
        self._hash.update("\0".join(told).encode())

    def _take_objects(self, parsed: object, origin: str) -> None:
        found_any = False
        for index, document in enumerate(objects.unpack(parsed)):
            found_any = True
            where = origin if index == 0 else f"{origin} (object {index + 1})"
            if isinstance(document, dict) and objects.is_kubernetes(document):
                self._take_object(document, where, origin)
            elif not objects.is_alert(document):
                self.notes.add(where, "is no Kubernetes object: it has no kind and apiVersion")
        if not found_any:
            self.notes.add(origin, "is empty")

    def _take_object(self, document: Mapping[str, object], where: str, origin: str) -> None:
        try:
            item, raw = objects.admit(document, origin=origin, object_bytes=self._limits.object_bytes)
        except NotUsable as error:
            self.notes.add(where, error.reason)
            return
        known = self._objects.get(item.key)
        if known is None and len(self._objects) >= self._limits.objects:
            self.notes.count("objects", f"the recording has more than {self._limits.objects} objects")
            return
        self._newest.see_object(raw)
        self._hash.update(raw)
        self._objects[item.key] = item if known is None else objects.better(known, item)

    def snapshot(self, path: Path) -> Snapshot:
        if not self._objects:
            raise UnreadableRecording(path, self._why_empty())
        kept = list(self._objects.values())
        captured_at = self._captured_at or self._newest.moment
        if captured_at is None:
            self.notes.add("the time of the recording", "stands nowhere in it; ages cannot be told")
        placed = tuple(self._placed_logs())
        return Snapshot(
            captured_at=captured_at or NO_TIME,
            objects=tuple(item.object for item in kept if not item.is_event),
            events=tuple(item.object for item in kept if item.is_event),
            logs=placed,
            metrics=tuple(self._metrics),
            not_read=tuple(self.notes.entries()),
            time_told=self._captured_at is not None or captured_at is None,
            id=self._id(captured_at or NO_TIME),
        )

    def _id(self, captured_at: datetime) -> str:
        self._hash.update(captured_at.isoformat().encode())
        return self._hash.hexdigest()

    def _placed_logs(self) -> Iterator[ContainerLog]:
        """The logs, each with its namespace; a path may name only the pod."""
        namespaces: dict[str, set[str]] = {}
        for item in self._objects.values():
            if item.object.kind == "Pod" and item.object.namespace:
                namespaces.setdefault(item.object.name, set()).add(item.object.namespace)
        for log in self._logs:
            namespace = log.namespace or logs.namespace_of_pod(log.pod, namespaces)
            if namespace:
                yield replace(log, namespace=namespace)
            else:
                self.notes.add(log.origin, "belongs to no pod we know: its path names no namespace")

    def _why_empty(self) -> str:
        if self._files == 0 and not self.notes.entries():
            return "no Kubernetes object in it: it holds no file"
        reasons = "; ".join(str(note) for note in self.notes.entries()[:3])
        return f"no Kubernetes object in it ({reasons})" if reasons else "no Kubernetes object in it"
