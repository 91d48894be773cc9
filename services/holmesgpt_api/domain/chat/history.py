"""How much of a session's earlier questions a model reads: the newest in full, older ones as a line each. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.holmesgpt_api.domain.chat.session import Said
from services.holmesgpt_api.domain.wording import first_sentence

MOST_TURNS = 10
"""Turns that are told in full."""

MOST_FOLDED = 30
"""Older ones that are told as a line."""

LINE = 160
"""Characters of each half of such a line."""

KEPT_TURNS = 200
"""Turns of one session that are kept at all; older ones are deleted and counted."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a model gets to read: `turns` oldest first, and what came before them."""

    turns: tuple[Said, ...]
    folded: tuple[str, ...]
    left_out: int


def fold(earlier: Sequence[Said], *, room: int, gone: int = 0) -> Told:
    """As much as there is room for, the newest first.

    Args:
        earlier: oldest first.
        room: characters of all of it.
        gone: turns that are no longer kept.
    """
    kept: list[Said] = []
    for said in reversed(earlier[-MOST_TURNS:]):
        size = len(said.question) + len(said.answer)
        if size > room:
            break
        room -= size
        kept.append(said)
    lines: list[str] = []
    for said in reversed(earlier[: len(earlier) - len(kept)][-MOST_FOLDED:]):
        line = f"{first_sentence(said.question, LINE)} → {first_sentence(said.answer, LINE)}"
        if len(line) > room:
            break
        room -= len(line)
        lines.append(line)
    left_out = gone + len(earlier) - len(kept) - len(lines)
    return Told(tuple(reversed(kept)), tuple(reversed(lines)), left_out)
