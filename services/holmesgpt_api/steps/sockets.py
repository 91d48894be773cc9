"""How many WebSockets each caller has open in this process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from services.holmesgpt_api.domain.chat.errors import TooManySockets
from services.holmesgpt_api.domain.chat.session import Owner


class Sockets:
    def __init__(self, most: int, *, observe: Callable[[int], None] = lambda _: None) -> None:
        """Args:
        most: of one caller.
        observe: is told how many are open in all, whenever that changes.
        """
        self._most, self._observe = most, observe
        self._open: Counter[Owner] = Counter()

    @property
    def open(self) -> int:
        return self._open.total()

    @contextmanager
    def one(self, owner: Owner) -> Iterator[None]:
        """Raises TooManySockets."""
        if self._open[owner] >= self._most:
            raise TooManySockets(self._most)
        self._open[owner] += 1
        self._observe(self.open)
        try:
            yield
        finally:
            self._open[owner] -= 1
            if not self._open[owner]:
                del self._open[owner]  # callers come and go; who has none is forgotten
            self._observe(self.open)
