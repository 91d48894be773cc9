"""Turns of several processes in one: a dictionary. Fulfils `libs.cache.turns.Turns`."""

from __future__ import annotations

from datetime import timedelta

from libs.cache.turns import Turn


class MemoryTurns:
    """Set `away` and nobody knows whose turn it is."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.away = False

    async def take(self, key: str, ttl: timedelta) -> bytes | Turn:
        if self.away:
            return Turn.nobody_knows
        if key in self.held:
            return Turn.theirs
        self.held[key] = b"token-%d" % len(self.held)
        return self.held[key]

    async def give_back(self, key: str, token: bytes) -> None:
        if self.held.get(key) == token:
            del self.held[key]
