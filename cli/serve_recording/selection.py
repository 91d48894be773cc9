"""Which objects of a list are asked for, and which page of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from cli.serve_recording import fields, paging
from cli.serve_recording.index import Index, Item, Shelf
from cli.serve_recording.paths import Asked, Query
from cli.serve_recording.statuses import bad_request, expired, invalid_option, too_new
from services.context_api.domain.errors import BadSelector
from services.context_api.domain.selector import Selector, parse_selector

LONGEST_SELECTOR = 16 * 1024
"""Characters; kubectl describes a workload by selectors of a few hundred."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a list is narrowed to."""

    namespace: str | None
    labels: Selector
    fields: fields.FieldSelector

    def takes(self, item: Item) -> bool:
        return self.labels.matches(item.labels) and self.fields.matches(
            item.namespace, item.name, item.fields
        )

    def only(self, name: str) -> Selection:
        """The same, of one name alone."""
        term = fields.Term("metadata.name", name, wanted=True)
        return replace(self, fields=fields.FieldSelector((*self.fields.terms, term)))

    @property
    def everything(self) -> bool:
        """No selector at all; only then an API server counts what is left."""
        return not self.labels.requirements and not self.fields.terms


@dataclass(frozen=True, slots=True)
class Page:
    items: Sequence[Item]
    proceed: str = ""
    """`continue` of the next page; empty for the last."""
    remaining: int | None = None
    """How many come after it, where that is known without looking."""


def selection_of(asked: Asked, query: Query, shelf: Shelf) -> Selection:
    """Raises Refused: a selector cannot be read, or asks for a field that cannot be asked for."""
    one = shelf.resource
    labels, wanted = query.text("labelSelector"), query.text("fieldSelector")
    if max(len(labels), len(wanted)) > LONGEST_SELECTOR:
        raise bad_request(f"a selector of more than {LONGEST_SELECTOR} characters")
    allowed = fields.allowed_of(one.group, one.kind, namespaced=one.namespaced, selectable=one.selectable)
    return Selection(asked.namespace, _labels(labels), fields.parse(wanted, allowed))


def _labels(words: str) -> Selector:
    try:
        return parse_selector(words)
    except BadSelector as error:
        raise bad_request(
            f"unable to parse requirement: {error.part!r} is none; want key=value, key!=value, key, !key, key in (a,b), "
            "key notin (a,b), key>1 or key<1"
        ) from None


def page_of(index: Index, shelf: Shelf, selection: Selection, query: Query) -> Page:
    """One page of a list, or all of it where no limit is given.

    Raises:
        Refused: the place or the version asked for is of no such list.
    """
    # A negative limit is none to the API server.
    token, limit = query.text("continue"), max(0, query.number("limit") or 0)
    check_version(index, query, paged=bool(token))
    place = paging.decode(token, index.id) if token else None
    found = (item for item in shelf.after(place, selection.namespace) if selection.takes(item))
    if not limit:
        return Page(list(found))
    items = list(islice(found, limit))
    following = next(found, None)
    if following is None:
        return Page(items)
    left = 1 + sum(1 for _ in found) if selection.everything else None
    return Page(items, paging.encode(items[-1].place, index.id), left)


def check_version(index: Index, query: Query, *, paged: bool = False) -> None:
    """A recording has one version of everything. Raises Refused for a list as of another one."""
    words, match = query.text("resourceVersion"), query.text("resourceVersionMatch")
    if match and match not in ("Exact", "NotOlderThan"):
        raise invalid_option(
            "resourceVersionMatch",
            "FieldValueNotSupported",
            f'Unsupported value: "{match[:40]}": supported values: "Exact", "NotOlderThan", ""',
        )
    if match and not words and not query.flag("sendInitialEvents"):
        raise invalid_option(
            "resourceVersionMatch",
            "FieldValueForbidden",
            "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        )
    if not words or paged:
        return
    if not (words.isascii() and words.isdigit()) or len(words) > 20:
        raise bad_request(
            f'invalid resource version: resourceVersion: Invalid value: "{words[:40]}": strconv.ParseUint: '
            f'parsing "{words[:40]}": invalid syntax'
        )
    asked = int(words)
    if asked > index.resource_version:
        raise too_new(asked, index.resource_version)
    if match == "Exact" and asked != index.resource_version:
        raise expired(
            f"The resourceVersion for the provided list is too old: a recording has {index.resource_version} alone"
        )
