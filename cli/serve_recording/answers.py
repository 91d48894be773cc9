"""What each request is answered. Pure: from an index and a request to an answer, or to a refusal.

A list is sent as the bytes of its objects, joined; nothing is parsed for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from cli.serve_recording import discovery, logs, protobuf, reviews, selection, watching
from cli.serve_recording.index import Index, Item, Shelf
from cli.serve_recording.negotiation import JSON, Form, form_of, form_of_discovery, text_wanted
from cli.serve_recording.paths import Asked, Query, query_of, resource_path, segments
from cli.serve_recording.printers import printer_of
from cli.serve_recording.statuses import Refused, bad_request, no_such_path, not_found, read_only
from cli.serve_recording.tables import META, partial, table
from services.context_api.domain.snapshot import Body

READ = ("GET", "HEAD")
CHUNK = 1024 * 1024
"""Bytes that are handed to the network at once."""

OPENAPI_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""The only form in which kubectl asks for it."""

LIVING = {
    "exec": "a command in it",
    "attach": "attaching to it",
    "portforward": "forwarding a port to it",
    "proxy": "calling it",
}
"""What would need more of a pod than its record."""

Header = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: bytes
    """As it was sent, with its escapes."""
    query: bytes = b""
    accept: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    chunks: Iterable[bytes]
    """A list where the whole answer is there, and its length can be said."""
    content_type: str = JSON
    status: int = 200
    headers: Sequence[Header] = ()
    hold: timedelta | None = None
    """A watch: how long it stays open after its first events."""


class Desk:
    """Answers from one recording. Nothing it has changes, so any number of threads may ask."""

    def __init__(self, index: Index, address: str) -> None:
        """`address`: host and port, as discovery tells it."""
        self._index = index
        self._resources = index.resources
        self._address = address

    def answer(self, request: Request) -> Answer:
        """Raises Refused."""
        parts = segments(request.path)
        if request.method not in READ:
            return self._written(request, parts)
        query = query_of(request.query)
        match parts:
            case []:
                return document({"paths": self._paths()})
            case ["version"]:
                return document(self._index.version)
            case ["healthz" | "livez" | "readyz", *_]:
                return Answer([b"ok"], "text/plain; charset=utf-8")
            case ["openapi", "v3"]:
                # No schema was recorded; kubectl asks before it explains or writes.
                return document({"paths": {}})
            case ["openapi", "v2"]:
                # Of no bytes: an empty message. Without it kubectl does not get as far as being told "read-only".
                return Answer([], OPENAPI_V2)
            case ["api" | "apis" as root]:
                return self._groups(root, request.accept)
            case ["apis", group]:
                return document(_there(discovery.group(self._resources, group)))
            case ["api", version]:
                return document(_there(discovery.resource_list(self._resources, "", version)))
            case ["apis", group, version]:
                return document(_there(discovery.resource_list(self._resources, group, version)))
            case ["api", _, *_] | ["apis", _, _, *_]:
                return self._resource(resource_path(parts), query, request.accept)
        raise no_such_path()

    def _paths(self) -> Sequence[str]:
        versions = dict.fromkeys(one.api_version for one in self._resources)
        roots = [f"/apis/{word}" if "/" in word else f"/api/{word}" for word in versions]
        return ["/api", "/apis", *roots, "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]

    def _groups(self, root: str, accept: str) -> Answer:
        form = form_of_discovery(accept)
        core = root == "api"
        if form is not Form.plain:
            return document(discovery.aggregated(self._resources, form, core=core), form.content_type)
        if core:
            return document(discovery.api_versions(self._resources, self._address))
        return document(discovery.group_list(self._resources))

    def _written(self, request: Request, parts: Sequence[str]) -> Answer:
        match request.method, parts:
            case "POST", ["apis", group, "v1", plural] if kind := reviews.PATHS.get((group, plural)):
                return document(reviews.review(kind, _posted(request.body, kind)), status=201)
            case _, ["api", _, *rest] | ["apis", _, _, *rest] if rest and rest[-1] in LIVING:
                raise read_only(LIVING[rest[-1]])
        raise read_only(f"{request.method[:20]} /{'/'.join(parts)[:400]}")

    def _resource(self, asked: Asked, query: Query, accept: str) -> Answer:
        shelf = self._index.shelves.get((asked.group, asked.version, asked.plural))
        if shelf is None or not _fits(shelf, asked):
            raise no_such_path()
        if asked.subresource in LIVING:
            raise read_only(LIVING[asked.subresource])
        if asked.subresource == "log" and discovery.has_logs(shelf.resource):
            return self._log(shelf, asked, query, accept)
        if asked.subresource not in ("", "status"):
            raise no_such_path()
        form = form_of(accept)
        query.number("timeoutSeconds")  # refused when it is no number, of a list too
        if query.flag("watch"):
            return self._watch(shelf, asked, query, form)
        if asked.name:
            return self._object(shelf, asked, query, form)
        return self._list(shelf, asked, query, form)

    def _object(self, shelf: Shelf, asked: Asked, query: Query, form: Form) -> Answer:
        selection.check_version(self._index, query)
        item = shelf.get(asked.namespace, asked.name)
        if item is None:
            raise not_found(shelf.resource.plural, shelf.resource.group, asked.name)
        if form is Form.plain:
            return Answer([item.raw])
        if form is Form.partial:
            return document(partial(item.body))
        return self._table(shelf, [item], query, {"resourceVersion": str(self._index.resource_version)})

    def _list(self, shelf: Shelf, asked: Asked, query: Query, form: Form) -> Answer:
        index = self._index
        page = selection.page_of(index, shelf, selection.selection_of(asked, query, shelf), query)
        metadata: dict[str, Any] = {"resourceVersion": str(index.resource_version)}
        if page.proceed:
            metadata["continue"] = page.proceed
        if page.remaining is not None:
            metadata["remainingItemCount"] = page.remaining
        warned = [_warning(words) for words in self._warnings(shelf, asked.namespace)]
        if form is Form.table:
            return self._table(shelf, page.items, query, metadata, warned)
        one = shelf.resource
        kind, version = f"{one.kind}List", one.api_version
        raws: Iterable[bytes] = (item.raw for item in page.items)
        if form is Form.partial:
            kind, version = "PartialObjectMetadataList", META
            raws = (orjson.dumps(partial(item.body)) for item in page.items)
        return Answer(_joined(kind, version, metadata, raws), headers=warned)

    def _table(
        self,
        shelf: Shelf,
        items: Sequence[Item],
        query: Query,
        metadata: Mapping[str, Any],
        warned: Sequence[Header] = (),
    ) -> Answer:
        along = query.text("includeObject") or "Metadata"
        if along not in ("None", "Metadata", "Object"):
            raise bad_request(
                f'Unable to convert to Table as requested: includeObject: Invalid value: "{along[:40]}": must be '
                "'Metadata', 'Object', 'None', or empty"
            )
        rows = ((body, _along(body, along)) for body in (item.body for item in items))
        return document(table(printer_of(shelf.resource), rows, self._index.now, metadata), headers=warned)

    def _warnings(self, shelf: Shelf, namespace: str | None) -> Iterator[str]:
        """What the reader of a list must know: what it lacks, and why."""
        one = shelf.resource
        for gap in self._index.gaps:
            what, _, where = gap.what.partition(" in ")
            if what == str(one) and (not where or namespace in (None, where)):
                yield f"not recorded: {gap}"
        if not shelf.items:
            yield f"the recording holds no {one}; whether the cluster had any, it does not say"
        for other in self._index.elsewhere(one):
            name = f"{one.plural}.{other.resource.version}.{one.group}"
            yield f"{len(other.items)} more are recorded in another version: ask for {name}"

    def _watch(self, shelf: Shelf, asked: Asked, query: Query, form: Form) -> Answer:
        chosen = selection.selection_of(asked, query, shelf)
        if asked.name:
            chosen = chosen.only(asked.name)
        hold = watching.held_for(query)
        return Answer(watching.first_events(self._index, shelf, chosen, query, form), hold=hold)

    def _log(self, shelf: Shelf, asked: Asked, query: Query, accept: str) -> Answer:
        text_wanted(accept)
        index, namespace, pod = self._index, asked.namespace or "", asked.name
        wanted = logs.wanted_of(query, pod, index.now)
        recorded = index.logs.get((namespace, pod), ())
        item = shelf.get(namespace, pod)
        if item is None and not recorded:
            raise not_found("pods", "", pod)
        container = (
            logs.container_of(item.body, wanted.container) if item else _only(recorded, wanted.container, pod)
        )
        wanted = wanted.of(container)
        log = logs.log_of(recorded, index.gaps, namespace, pod, wanted)
        cut = [_warning("the beginning of this log was not recorded")] if log.truncated else []
        return Answer([logs.lines_of(log, wanted)], "text/plain; charset=utf-8", headers=cut)


def document(
    content: object, content_type: str = JSON, *, status: int = 200, headers: Sequence[Header] = ()
) -> Answer:
    return Answer([orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)], content_type, status, headers)


def refusal(refused: Refused) -> Answer:
    return Answer([refused.body()], JSON, refused.code, refused.headers)


def _posted(body: bytes, kind: str) -> object:
    """The review in a body: JSON, or protobuf as kubectl sends it."""
    try:
        return protobuf.review_of(body) if body.startswith(protobuf.MAGIC) else orjson.loads(body)
    except (orjson.JSONDecodeError, protobuf.NotReadable):
        raise bad_request(f"the body is no {kind} that can be read") from None


def _there(found: object) -> object:
    if found is None:
        raise no_such_path()
    return found


def _fits(shelf: Shelf, asked: Asked) -> bool:
    """An object of a namespaced kind is asked for in its namespace, one of the cluster in none."""
    if shelf.resource.namespaced:
        return asked.namespace is not None or not asked.name
    return asked.namespace is None


def _only(recorded: Sequence[Any], asked: str, pod: str) -> str:
    """The container of a pod of which logs alone were recorded."""
    names = sorted({log.container for log in recorded})
    if asked or len(names) == 1:
        return asked or names[0]
    raise bad_request(f"a container name must be specified for pod {pod}, choose one of: [{' '.join(names)}]")


def _along(body: Body, along: str) -> Any:
    if along == "None":
        return None
    return body if along == "Object" else partial(body)


def _joined(kind: str, version: str, metadata: Mapping[str, Any], raws: Iterable[bytes]) -> Iterator[bytes]:
    head = orjson.dumps({"kind": kind, "apiVersion": version, "metadata": metadata})
    pieces, size, comma = [head[:-1], b',"items":['], len(head), b""
    for raw in raws:
        pieces += (comma, raw)
        size += len(raw)
        comma = b","
        if size >= CHUNK:
            yield b"".join(pieces)
            pieces, size = [], 0
    yield b"".join((*pieces, b"]}\n"))


def _warning(words: str) -> Header:
    """RFC 7234's header, which kubectl prints as `Warning: …`; ASCII, and bounded."""
    plain = "".join(sign if " " <= sign <= "~" else "?" for sign in words[:400])
    quoted = plain.replace("\\", "\\\\").replace('"', '\\"')
    return "warning", f'299 - "{quoted}"'
