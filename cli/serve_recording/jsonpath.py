"""The JSONPath of a printer column: `.spec.size`, `.status.conditions[?(@.type=="Ready")].status`. Pure.

Fields, quoted fields, indexes, `[*]` and a filter by equality are read: what definitions use. Anything else finds
nothing, and its column stays empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from services.context_api.domain.kube import at

LONGEST = 1_000
"""Characters of a path."""

_FIELD = re.compile(r"\.((?:[A-Za-z0-9_$/-]|\\.)+)")
_QUOTED = re.compile(r"\[(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\")\]")
_INDEX = re.compile(r"\[(-?[0-9]{1,6})\]")
_ALL = re.compile(r"\[\*\]|\.\*")
_FILTER = re.compile(
    r"\[\?\(\s*@((?:\.[A-Za-z0-9_-]+)+)\s*(==|!=)\s*(?:'([^']*)'|\"([^\"]*)\"|([A-Za-z0-9.-]+))\s*\)\]"
)

Step = Callable[[Any], Iterator[Any]]


def first(document: object, path: str) -> object:
    """The first value a path leads to; None for none, and for a path that is not read."""
    steps = _steps(path)
    if steps is None:
        return None
    found: Iterator[Any] = iter([document])
    for step in steps:
        found = chain.from_iterable(map(step, found))
    return next(found, None)


@lru_cache(maxsize=1_024)
def _steps(path: str) -> Sequence[Step] | None:
    words = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    if len(words) > LONGEST:
        return None
    steps: list[Step] = []
    start = 0
    while start < len(words):
        step, start = _step(words, start)
        if step is None:
            return None
        steps.append(step)
    return steps


def _step(words: str, start: int) -> tuple[Step | None, int]:
    if found := _ALL.match(words, start):
        return _every, found.end()
    if found := _FIELD.match(words, start):
        return _field(re.sub(r"\\(.)", r"\1", found[1])), found.end()
    if found := _QUOTED.match(words, start):
        return _field(re.sub(r"\\(.)", r"\1", found[1] if found[1] is not None else found[2])), found.end()
    if found := _INDEX.match(words, start):
        return _index(int(found[1])), found.end()
    if found := _FILTER.match(words, start):
        value = next(part for part in found.groups()[2:] if part is not None)
        return _where(found[1].split(".")[1:], value, equal=found[2] == "=="), found.end()
    return None, start


def _every(parent: Any) -> Iterator[Any]:
    if isinstance(parent, list):
        yield from parent
    elif isinstance(parent, dict):
        yield from parent.values()


def _field(name: str) -> Step:
    def step(parent: Any) -> Iterator[Any]:
        if isinstance(parent, dict) and name in parent:
            yield parent[name]

    return step


def _index(number: int) -> Step:
    def step(parent: Any) -> Iterator[Any]:
        if isinstance(parent, list) and -len(parent) <= number < len(parent):
            yield parent[number]

    return step


def _where(path: Sequence[str], value: str, *, equal: bool) -> Step:
    def step(parent: Any) -> Iterator[Any]:
        for one in parent if isinstance(parent, list) else ():
            found = at(one, *path)
            text = ("true" if found else "false") if isinstance(found, bool) else str(found)
            if found is not None and (text == value) is equal:
                yield one

    return step
