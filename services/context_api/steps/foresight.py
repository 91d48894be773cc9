"""Know which answers were worked out before anybody asked, and whether somebody asked for them then."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

MOST = 1_000
"""Remembered; what is forgotten counts as unused. An alert is investigated within seconds or not at all."""


class Foresight:
    """One per process."""

    def __init__(self, count: Callable[[str], None], *, most: int = MOST) -> None:
        """`count`: told `begun`, `used` and `unused`."""
        self._count, self._most = count, most
        self._keys: OrderedDict[str, None] = OrderedDict()

    def begun(self, key: str) -> None:
        """It is worked out ahead, from now on or when its turn comes."""
        if key in self._keys:
            return
        self._count("begun")
        self._keys[key] = None
        if len(self._keys) > self._most:
            self._keys.popitem(last=False)
            self._count("unused")

    def given_up(self, key: str) -> None:
        """It is not worked out after all."""
        if self._keys.pop(key, self) is None:
            self._count("unused")

    def asked(self, key: str) -> None:
        """Somebody asks for it."""
        if self._keys and self._keys.pop(key, self) is None:
            self._count("used")
