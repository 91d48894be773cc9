"""A watch on what never changes. Pure.

The rule: a watch from nowhere (no `resourceVersion`, or `0`) is told every object once; one from the recording's own
version is told nothing, for nothing happens after it; one from an older version is sent back to list again. Then the
watch is held, silently, for as long as the caller asked (at most LONGEST) or until serving ends, and is ended as an
API server ends it: without an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import orjson

from cli.serve_recording.index import Index, Item, Shelf
from cli.serve_recording.negotiation import Form
from cli.serve_recording.paths import Query
from cli.serve_recording.printers import printer_of
from cli.serve_recording.selection import Selection, check_version
from cli.serve_recording.statuses import expired, invalid_option
from cli.serve_recording.tables import partial, table

LONGEST = timedelta(hours=1)
"""An API server chooses half an hour to an hour where the caller does not say."""

INITIAL_EVENTS_END = "k8s.io/initial-events-end"


def held_for(query: Query) -> timedelta:
    """How long the watch stays open after its first events. Raises Refused."""
    longest = int(LONGEST.total_seconds())
    seconds = query.number("timeoutSeconds") or 0
    return timedelta(seconds=min(seconds, longest) if seconds > 0 else longest)


def first_events(
    index: Index, shelf: Shelf, selection: Selection, query: Query, form: Form
) -> Iterator[bytes]:
    """What is told at once, a line each.

    Raises:
        Refused: before the first line, the version is of no such list.
    """
    since = query.text("resourceVersion")
    at_once = query.flag("sendInitialEvents")
    check_version(index, query)
    if at_once and query.text("resourceVersionMatch") != "NotOlderThan":
        raise invalid_option(
            "resourceVersionMatch",
            "FieldValueForbidden",
            "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        )
    if since not in ("", "0") and int(since) < index.resource_version and not at_once:
        raise expired(f"too old resource version: {since} ({index.resource_version})")
    told = at_once if query.text("sendInitialEvents") else since in ("", "0")
    return _lines(
        index, shelf, selection, form, told=told, marked=at_once and query.flag("allowWatchBookmarks")
    )


def _lines(
    index: Index, shelf: Shelf, selection: Selection, form: Form, *, told: bool, marked: bool
) -> Iterator[bytes]:
    if told:
        for item in shelf.after(None, selection.namespace):
            if selection.takes(item):
                yield b'{"type":"ADDED","object":%s}\n' % _shown(index, shelf, item, form)
    if marked:
        yield orjson.dumps(
            {"type": "BOOKMARK", "object": _mark(index, shelf)}, option=orjson.OPT_APPEND_NEWLINE
        )


def _shown(index: Index, shelf: Shelf, item: Item, form: Form) -> bytes:
    if form is Form.plain:
        return item.raw
    along = partial(item.body)
    if form is Form.partial:
        return orjson.dumps(along)
    metadata = {"resourceVersion": str(index.resource_version)}
    return orjson.dumps(table(printer_of(shelf.resource), [(item.body, along)], index.now, metadata))


def _mark(index: Index, shelf: Shelf) -> Mapping[str, Any]:
    """Says that what there was has been told, and as of when."""
    one = shelf.resource
    metadata = {
        "resourceVersion": str(index.resource_version),
        "creationTimestamp": None,
        "annotations": {INITIAL_EVENTS_END: "true"},
    }
    return {"kind": one.kind, "apiVersion": one.api_version, "metadata": metadata}
