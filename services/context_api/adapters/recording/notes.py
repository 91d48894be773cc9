"""Keep what could not be read, without letting ten thousand broken files fill an answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from services.context_api.domain.snapshot import NotRead


class Notes:
    """Names the first `limit` things, counts the others by their reason."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._named: list[NotRead] = []
        self._counted: Counter[tuple[str, str]] = Counter()

    def add(self, what: str, why: str) -> None:
        if len(self._named) < self._limit:
            self._named.append(NotRead(what=what, why=why))
        else:
            self.count("more", why)

    def count(self, what: str, why: str) -> None:
        """For what needs no name of its own, e.g. each of 5,000 pictures. `what`: `files`, `objects`."""
        self._counted[what, why] += 1

    def entries(self) -> Sequence[NotRead]:
        rest = [
            NotRead(what=f"{n} {what if n > 1 else what.removesuffix('s')}", why=why)
            for (what, why), n in self._counted.most_common(20)
        ]
        return (*self._named, *rest)
